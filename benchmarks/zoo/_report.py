"""Results of the zoo: reading them, and the tables made of them."""

import json
import re
from collections import Counter, defaultdict

LAST = "gradient"
SHOWN = ("ok", "refused", "error", "wrong")


def read(file):
    """Return the latest results, a dict of rows by method for each model."""
    found = defaultdict(dict)
    if not file.exists():
        return found
    for line in file.read_text().splitlines():
        row = json.loads(line)
        if row.get("started"):
            found[row["model"]] = {}
        else:
            found[row["model"]][row["method"]] = row
    return found


def finished(rows):
    """Return the models that were run to the end."""
    return {m for m, row in rows.items() if LAST in row or _not_built(row)}


def settled(rows):
    """Return the models that need no other run: all is well, or they do not build."""
    return {
        model
        for model in finished(rows)
        if _not_built(rows[model])
        or all(row["status"] == "ok" for row in rows[model].values())
    }


def _not_built(row):
    return row.get("build", {}).get("status") == "does not build"


def note_death(file, keys, code):
    """Record that the process died in a model; return the models that are left."""
    started = [json.loads(line)["model"] for line in file.read_text().splitlines()]
    model = started[-1]
    if model not in keys:
        return keys
    row = {"status": "error", "message": f"the process died: {code}"}
    done = read(file)[model]
    method = "build" if "build" not in done else LAST
    row["status"] = "does not build" if method == "build" else "error"
    with file.open("a") as lines:
        lines.write(json.dumps({"model": model, "method": method, **row}) + "\n")
    return keys[keys.index(model) + 1 :]


def methods(rows):
    """Return the methods in the order in which they were run."""
    found = {}
    for row in rows.values():
        found.update(dict.fromkeys(row))
    found.pop("build", None)
    return list(found)


def summary(rows, entries):
    """Return counts by method, of the models that build."""
    built = [rows[e.key] for e in entries if "build" in rows[e.key]]
    built = [row for row in built if not _not_built(row)]
    lines = [f"{len(entries)} models, {len(built)} build"]
    head = "".join(f"{name:>9}" for name in SHOWN)
    lines.append(f"{'':18}{head}{'ok, %':>9}")
    for method in methods(rows):
        counts = Counter(row[method]["status"] for row in built if method in row)
        cells = "".join(f"{counts[name]:>9}" for name in SHOWN)
        share = 100 * counts["ok"] / max(1, len(built))
        lines.append(f"{method:18}{cells}{share:9.1f}")
    return "\n".join(lines)


def cause(row):
    """Return in a few words why a method refused, failed or is wrong."""
    if row["status"] == "wrong":
        return "wrong: " + ", ".join(row["wrong"])
    message = row["message"]
    found = re.match(r"UnsupportedOperationError: (\S+) (.+?) in [a-z]", message)
    if found:
        return f"{found[1]} {found[2]}"[:90]
    return re.sub(r"\d+", "N", message)[:110]


def causes(rows):
    """Return what stands in the way, by method, most models first."""
    lines = []
    for method in methods(rows):
        found = defaultdict(list)
        for model, row in rows.items():
            if method in row and row[method]["status"] in SHOWN[1:]:
                found[cause(row[method])].append(model)
        if found:
            lines.append(f"\n{method}")
        for why, models in sorted(found.items(), key=lambda item: -len(item[1])):
            some = ", ".join(models[:4]) + (", ..." if len(models) > 4 else "")
            lines.append(f"  {len(models):3}  {why}  [{some}]")
    return "\n".join(lines)


def _cell(row):
    if row is None:
        return ""
    if row["status"] == "ok":
        return "ok"
    if row["status"] == "wrong":
        return "wrong"
    operation = re.match(
        r"UnsupportedOperationError: (\S+) has no rule", row["message"]
    )
    return f"refused: ``{operation[1]}``" if operation else row["status"]


def _worst(row):
    errors = [e for r in row.values() for e in r.get("errors", {}).values()]
    return f"{max(errors):.0e}" if errors else ""


def _time(row):
    spent = row.get("cd context", {}).get("notes", {}).get("per_mask")
    return "" if spent is None else f"{spent:.1f}"


def restructured(rows, entries):
    """Return a reStructuredText table with a line for every model."""
    names = ("deeplift", "lrp", "gradient")
    counts = [f"   {line}" for line in summary(rows, entries).splitlines()]
    lines = [
        "::",
        "",
        *counts,
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        "   * - "
        + "\n     - ".join(
            ["model", "cd", "deeplift", "lrp", "gradients", "worst error", "time"]
        ),
    ]
    for entry in entries:
        row = rows[entry.key]
        if _not_built(row) or not row:
            reason = row.get("build", {}).get("message", "not run").replace("*", r"\*")
            cells = [entry.key, f"does not build: {reason[:80]}", *[""] * 5]
        else:
            biases = [r for name, r in row.items() if name.startswith("cd ")]
            worst = max(biases, key=lambda r: SHOWN.index(r["status"]), default=None)
            cells = [_cell(worst), *(_cell(row.get(name)) for name in names)]
            cells = [entry.key, *cells, _worst(row), _time(row)]
        lines.append("   * - " + "\n     - ".join(cells))
    return "\n".join(line.rstrip() for line in lines) + "\n"
