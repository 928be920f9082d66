"""zennit 0.5.1, whose torchvision models are not needed, imported without them."""

import sys
import types


def _stub(name, *classes):
    module = types.ModuleType(name)
    for cls in classes:
        setattr(module, cls, type(cls, (), {}))
    return module


def _import():
    models = _stub("torchvision.models")
    models.vgg = _stub("torchvision.models.vgg", "VGG")
    models.resnet = _stub(
        "torchvision.models.resnet", "ResNet", "BasicBlock", "Bottleneck"
    )
    root = _stub("torchvision")
    root.models = models
    stubs = {m.__name__: m for m in (root, models, models.vgg, models.resnet)}
    sys.modules.update(stubs)
    try:
        from zennit import attribution, composites, rules, types
    finally:
        for name in stubs:
            del sys.modules[name]
    return attribution, composites, rules, types


_attribution, _composites, rules, _types = _import()


def relevance(net, x, rule, first, column):
    """Relevance of x when output `column` is explained."""
    layers = [
        (_types.Activation, rules.Pass()),
        (_types.AvgPool, rules.Norm(stabilizer=1e-12)),
        (_types.Convolution, rule),
        (_types.Linear, rule),
    ]
    composite = _composites.LayerMapComposite(layers)
    if first is not None:
        composite = _composites.SpecialFirstLayerMapComposite(
            layers, [(_types.Convolution, first)]
        )
    with _attribution.Gradient(model=net, composite=composite) as attributor:
        _, found = attributor(x.clone(), lambda out: _only(out, column))
    return found


def _only(out, column):
    start = out.new_zeros(out.shape)
    start[:, column] = out[:, column]
    return start
