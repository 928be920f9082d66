"""Trees equal those of a naive loop, and find what a function is made of."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.cluster.hierarchy import dendrogram, is_valid_linkage, leaves_list
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import nn

from sktrim import CosineTransformer, FeatureGroups, TransformImportance
from sktrim.hierarchy import AgglomerativeDecomposition, region_adjacency
from sktrim.scorers import ContextualDecomposition
from tests.hierarchy.naive import agglomerate


def smooth_net(n, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(n, 12), nn.Tanh(), nn.Linear(12, 2)).double()


def signals(n, count=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, n))


def as_dict(tree):
    """Sets of a tree, with their scores, levels and what they join."""
    sets = [frozenset(np.flatnonzero(own).tolist()) for own in tree.members]
    return {
        own: (tree.scores[i], tree.levels[i], {sets[c] for c in tree.children[i]})
        for i, own in enumerate(sets)
    }


def check_equal(tree, nodes):
    found = as_dict(tree)
    assert set(found) == set(nodes)
    for own, (score, level, children) in nodes.items():
        assert_allclose(found[own][0], score, atol=1e-9)
        assert found[own][1] == level
        assert found[own][2] == set(children)


@pytest.mark.parametrize("scorer", ["cd", "occlusion", "integrated_gradients"])
@pytest.mark.parametrize(
    ("shape", "percentile", "absolute"),
    [((9,), 70, None), ((9,), 95, False), ((4, 5), 80, None), ((4, 5), 90, True)],
)
def test_steps_are_those_of_a_naive_loop(scorer, shape, percentile, absolute):
    n = int(np.prod(shape))
    net, X = smooth_net(n), signals(n)
    trim = TransformImportance(net, scorer=scorer, target=1, random_state=0).fit(X)
    grid = len(shape) > 1
    acd = AgglomerativeDecomposition(
        trim, shape if grid else "chain", percentile=percentile, absolute=absolute
    )
    trees = acd.explain(X)
    places = [tuple(place) for place in np.ndindex(shape)]
    for i in range(len(X)):

        def score(units, i=i):
            row = np.isin(np.arange(n), list(units)).astype(float)
            groups = FeatureGroups(np.stack([row, 1 - row])[: 1 + (row.sum() < n)])
            one = TransformImportance(
                net, scorer=scorer, groups=groups, target=1, random_state=0
            )
            return float(one.fit(X).explain(X[[i]]).values[0, 0])

        by_size = absolute if absolute is not None else not grid
        nodes = agglomerate(score, places, percentile, by_size, grid)
        check_equal(trees[i], nodes)
        assert trees[i].explained == pytest.approx(
            float(trim.explain(X[[i]]).explained[0])
        )


@pytest.mark.parametrize("scorer", ["cd", "occlusion"])
def test_what_never_touches_is_joined_by_a_naive_loop_too(scorer):
    places = [(0,), (1,), (10,), (11,), (20,), (30,), (31,), (32,), (40,)]
    apart = np.abs(np.subtract.outer(*[np.ravel(places)] * 2))
    net, X = smooth_net(9, seed=1), signals(9, 4, seed=1)
    trim = TransformImportance(net, scorer=scorer, target=0).fit(X)
    trees = AgglomerativeDecomposition(trim, apart == 1, percentile=60).explain(X)
    for i in range(len(X)):

        def score(units, i=i):
            sets = np.isin(np.arange(9), list(units))[None]
            return float(trim.explain_sets(X[[i]], sets)[0, 0])

        check_equal(trees[i], agglomerate(score, places, 60, True, False))


def blocks_net(seed):
    """A network whose hidden units each look at one of three sets of columns."""
    blocks = [[0, 1, 2], [4, 5], [6, 7]]
    rng = np.random.default_rng(seed)
    weights = np.zeros((19, 8))
    for block, columns in enumerate(blocks):
        rows = slice(6 * block, 6 * block + 6)
        weights[rows, columns] = rng.uniform(0.5, 1.5, (6, len(columns)))
        weights[rows, columns] *= rng.permuted(
            np.tile([1, -1, 1][: len(columns)], (6, 1)), axis=1
        )
    weights[18, 3] = 1
    net = nn.Sequential(nn.Linear(8, 19, bias=False), nn.ReLU(), nn.Linear(19, 1))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor(weights))
        net[2].weight.copy_(torch.tensor(rng.uniform(0.5, 1.5, (1, 19))))
    return net.double(), blocks


@pytest.mark.parametrize("scorer", ["cd", "occlusion"])
@pytest.mark.parametrize("adjacency", ["chain", None])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_pairs_recover_what_a_function_is_made_of(scorer, adjacency, seed):
    net, blocks = blocks_net(seed)
    X = np.random.default_rng(seed).uniform(1, 2, (4, 8))
    trim = TransformImportance(net, None, scorer, random_state=0).fit(X)
    acd = AgglomerativeDecomposition(trim, adjacency, join="pairs")
    for tree in acd.explain(X):
        sets = as_dict(tree)
        for expected in blocks:
            assert frozenset(expected) in sets
        # the column that is only added is joined when all others are
        assert all(3 not in own for own in list(sets)[8:12])


def test_a_planted_phrase_grows_first():
    class Middle(nn.Module):
        def forward(self, x):
            return (5 * x[:, 3] * x[:, 4] * x[:, 5] + x.sum(1) / 9)[:, None]

    X = np.random.default_rng(0).uniform(0.8, 1.2, (5, 9))
    trim = TransformImportance(Middle()).fit(X)
    for tree in AgglomerativeDecomposition(trim, percentile=70).explain(X):
        first = tree.n_units
        assert np.flatnonzero(tree.members[first]).tolist() == [3, 4, 5]
        assert tree.levels[first] == 1
        assert tree.scores[first] > 4 * abs(tree.scores[: tree.n_units]).min()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("scorer", ["cd", "occlusion"])
def test_a_planted_patch_grows_out_of_its_places(scorer, seed):
    """A network that was trained to find a cross is seen to look at its places."""
    rng = np.random.default_rng(seed)
    X = 0.5 * rng.normal(size=(300, 1, 12, 12))
    y = np.arange(300) % 2
    X[y == 1, 0, 4:8, 5] += 1.5
    X[y == 1, 0, 5, 4:8] += 1.5
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(864, 2)
    ).double()
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    x, labels = torch.tensor(X), torch.tensor(y)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), labels).backward()
        optimizer.step()
    assert (net(x).argmax(1) == labels).float().mean() > 0.95
    # 36 patches of 2 x 2 pixels; the cross is in four of them
    patches = np.kron(np.arange(36).reshape(6, 6), np.ones((2, 2), dtype=int)).ravel()
    planted = {14, 15, 20, 21}
    trim = TransformImportance(net, None, scorer, groups=patches, target=1).fit(X)
    acd = AgglomerativeDecomposition(trim, (6, 6), percentile=92)
    trees = acd.explain(X[y == 1][:20])
    shares = []
    for tree in trees:
        first = np.flatnonzero(tree.steps == tree.steps[tree.steps > 0].min())
        grown = set(np.flatnonzero(tree.members[first].any(axis=0)))
        shares.append(len(grown & planted) / len(grown))
    # by chance a ninth of the patches
    assert np.mean(shares) > 0.7


def test_units_of_a_samples_own():
    net, X = smooth_net(6), signals(6, 2)
    trim = TransformImportance(net, target=0).fit(X)
    acd = AgglomerativeDecomposition(trim, percentile=60)
    units = [[0, 0, 1, 2, 2, -1], [0, 1, 2, 3, 4, 5]]
    names = [["a", "b", "c"], list("uvwxyz")]
    trees = acd.explain(X, units=units, unit_names=names)
    joined = TransformImportance(net, groups=[0, 0, 1, 2, 2, -1], target=0).fit(X)
    alone = AgglomerativeDecomposition(joined, percentile=60).explain(X[[0]])[0]
    check_equal(trees[0], as_dict(alone))
    check_equal(trees[1], as_dict(acd.explain(X[[1]])[0]))
    assert trees[0].unit_names == ["a", "b", "c"]
    frame = trees.to_frame()
    assert list(frame.columns[:3]) == ["sample", "node", "name"]
    assert len(frame) == len(trees[0]) + len(trees[1])
    assert len(trees[:1]) == 1


@pytest.mark.parametrize("adjacency", ["chain", None])
def test_trees_do_not_depend_on_other_samples(adjacency):
    net, X = smooth_net(7), signals(7, 20)
    trim = TransformImportance(net, target=1).fit(X)
    acd = AgglomerativeDecomposition(trim, adjacency, percentile=75)
    trees = acd.explain(X)
    assert len({len(tree) for tree in trees}) > 1 or adjacency is None
    for i in range(20):
        check_equal(trees[i], as_dict(acd.explain(X[[i]])[0]))
        assert trees[i].sample == i


def test_many_samples_grow_block_by_block(monkeypatch):
    X = signals(7, 9)
    trim = TransformImportance(smooth_net(7), target=1).fit(X)
    expected = AgglomerativeDecomposition(trim).explain(X)
    # two samples of seven sets of seven groups
    monkeypatch.setattr("sktrim.hierarchy._agglomerative._MOST", 2 * 49)
    trees = AgglomerativeDecomposition(trim).explain(X)
    for i in range(9):
        check_equal(trees[i], as_dict(expected[i]))
        assert trees[i].sample == i


def test_any_space_and_any_layer():
    X = signals(12, 3)
    net = smooth_net(12)
    cosine = TransformImportance(
        net, CosineTransformer(), groups=lambda t: t.feature_groups("band", n_bands=5)
    ).fit(X)
    tree = AgglomerativeDecomposition(cosine).explain(X)[0]
    assert tree.n_units == 5
    assert tree.unit_names[0] == cosine.groups_.names[0]
    assert tree.places is None
    with pytest.raises(ValueError, match="no places in the signal"):
        tree.plot_patches()
    inside = TransformImportance(net, layer="1", residual="component").fit(X)
    tree = AgglomerativeDecomposition(inside, None).explain(X)[1]
    assert tree.n_units == 12
    values = inside.explain(X[[1]]).values[0]
    assert_allclose(tree.scores[:12], values[:12], atol=1e-10)


def test_regions_that_do_not_touch_are_joined_last():
    matrix = np.zeros((6, 6))
    matrix[[0, 1, 3, 4], [1, 2, 4, 5]] = 1
    X = signals(6, 4)
    trim = TransformImportance(smooth_net(6)).fit(X)
    for join in ("percentile", "pairs"):
        acd = AgglomerativeDecomposition(trim, matrix + matrix.T, join=join)
        for tree in acd.explain(X):
            whole = tree.members[-1]
            assert whole.all()
            halves = [set(np.flatnonzero(tree.members[c])) for c in tree.children[-1]]
            assert sorted(map(sorted, halves)) == [[0, 1, 2], [3, 4, 5]]


def test_a_linkage_holds_the_same_sets():
    X = signals(10, 5)
    trim = TransformImportance(smooth_net(10)).fit(X)
    for percentile in (50, 80, 100):
        for tree in AgglomerativeDecomposition(trim, percentile=percentile).explain(X):
            linkage = tree.to_linkage()
            assert is_valid_linkage(linkage)
            clusters = [{unit} for unit in range(10)]
            for a, b, _, count in linkage:
                clusters.append(clusters[int(a)] | clusters[int(b)])
                assert len(clusters[-1]) == count
            for own, level in zip(tree.members, tree.levels, strict=True):
                at = clusters.index(set(np.flatnonzero(own)))
                assert level == (0 if at < 10 else linkage[at - 10, 2])
            assert sorted(leaves_list(linkage)) == list(range(10))
            dendrogram(linkage, no_plot=True)
            # every set is an interval of the order in which units are drawn
            drawn = tree.members[:, tree.order()]
            assert ((np.diff(drawn.astype(int), axis=1) == 1).sum(axis=1) <= 1).all()
            assert tree.parents[-1] == -1
            assert (tree.parents[:-1] >= 0).all()


def test_large_sets_are_printed_with_their_number():
    X = signals(10, 1)
    trim = TransformImportance(smooth_net(10), groups=np.eye(10)).fit(X)
    lines = str(AgglomerativeDecomposition(trim).explain(X)[0]).split("\n")
    assert lines[0].startswith("{group0, group1, group2, group3, group4, ... 10 units}")
    assert len(lines) > 10


def test_progress_is_shown(capsys):
    trim = TransformImportance(smooth_net(5), verbose=1).fit(signals(5))
    AgglomerativeDecomposition(trim).explain(signals(5))
    assert "3/3" in capsys.readouterr().err


def test_one_unit_is_a_tree():
    trim = TransformImportance(smooth_net(4), groups=[0, 0, 0, 0]).fit(signals(4))
    tree = AgglomerativeDecomposition(trim).explain(signals(4))[0]
    assert len(tree) == 1
    assert tree.to_linkage().shape == (0, 4)


def test_it_is_fitted_like_an_estimator():
    X = signals(5)
    acd = AgglomerativeDecomposition(TransformImportance(smooth_net(5), target=0))
    with pytest.raises(NotFittedError):
        acd.explain(X)
    trees = clone(acd).fit(X).explain(X)
    same = AgglomerativeDecomposition(acd.trim.fit(X)).explain(X)
    check_equal(trees[2], as_dict(same[2]))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"adjacency": "ring"}, "adjacency='ring'; expected 'chain', a grid"),
        ({"adjacency": (2, 2)}, r"a grid of 4 units, but there are 6"),
        ({"adjacency": np.eye(5)}, r"adjacency has shape \(5, 5\)"),
        ({"adjacency": np.triu(np.ones((6, 6)))}, "is not symmetric"),
        ({"percentile": 101}, "percentile=101; expected a number from 0 to 100"),
        ({"join": "ward"}, "join='ward'; expected one of"),
    ],
)
def test_what_does_not_fit_is_refused(options, match):
    trim = TransformImportance(smooth_net(6)).fit(signals(6))
    with pytest.raises(ValueError, match=match):
        AgglomerativeDecomposition(trim, **options).explain(signals(6))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"units": [[0] * 5] * 3}, r"units has shape \(3, 5\)"),
        ({"units": [[-1] * 6] * 3}, "Sample 0 has no unit"),
        ({"units": [[0, 2, 2, 2, 2, 2]] * 3}, "Unit 1 of sample 0 has no group"),
        ({"unit_names": ["a"]}, "1 names were given for 6 units of sample 0"),
        ({"unit_names": [["a"] * 6]}, "one per unit, in a list for each"),
    ],
)
def test_units_that_do_not_fit_are_refused(options, match):
    trim = TransformImportance(smooth_net(6)).fit(signals(6))
    with pytest.raises(ValueError, match=match):
        AgglomerativeDecomposition(trim).explain(signals(6), **options)


def test_trees_that_cannot_be_grown_are_refused(monkeypatch):
    X = signals(6)
    every = TransformImportance(smooth_net(6), target="all").fit(X)
    with pytest.raises(ValueError, match="explains one target per sample"):
        AgglomerativeDecomposition(every).explain(X)
    joint = ContextualDecomposition(partition=True)
    trim = TransformImportance(smooth_net(6), scorer=joint).fit(X)
    with pytest.raises(ValueError, match="sets overlap"):
        AgglomerativeDecomposition(trim).explain(X)
    with pytest.raises(TypeError, match="expected a TransformImportance"):
        AgglomerativeDecomposition(smooth_net(6)).fit(X)
    trim = TransformImportance(smooth_net(6)).fit(X)
    monkeypatch.setattr("sktrim.hierarchy._agglomerative._MOST", 50)
    with pytest.raises(ValueError, match="6 units make 15 sets of 6 groups in one"):
        AgglomerativeDecomposition(trim, None).explain(X)


def test_regions_of_an_image_touch_at_sides():
    labels = np.array([[0, 0, 5], [7, -1, 5], [7, 7, 9]])
    found = region_adjacency(labels).toarray()
    expected = np.zeros((4, 4), dtype=bool)
    for a, b in [(0, 1), (0, 2), (1, 3), (2, 3)]:
        expected[a, b] = expected[b, a] = True
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match="some at least 0"):
        region_adjacency([[-1, -1]])
    groups = FeatureGroups.from_labels(labels.ravel())
    trim = TransformImportance(smooth_net(9), groups=groups).fit(signals(9))
    trees = AgglomerativeDecomposition(trim, region_adjacency(labels)).explain(
        signals(9)
    )
    assert trees[0].n_units == 4
