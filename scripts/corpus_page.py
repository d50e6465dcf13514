"""The page of scripts/corpus: a table of all patches, filters, and what each report says. One file, no network, light and dark."""
import html
import json

STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #f6f8fa; --dim: #59636e; --good: #1a7f37; --bad: #b3261e; --wait: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --soft: #1c2128; --dim: #9198a1; --good: #4ac26b; --bad: #ff8b82; --wait: #e0b252; } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: 0; }
p.about { color: var(--dim); margin-top: .2rem; }
nav { margin: 1rem 0; }
nav button { font: inherit; margin: 0 .4rem .4rem 0; padding: .15rem .7rem; border: 1px solid var(--line); border-radius: 1rem; background: none; color: inherit; cursor: pointer; }
nav button[aria-pressed=true] { background: var(--soft); border-color: currentColor; font-weight: 600; }
details { border-top: 1px solid var(--line); }
summary, .head { display: grid; grid-template-columns: 4rem 1fr 13rem 5rem 4.5rem; gap: .8rem; padding: .35rem .2rem; cursor: pointer; }
.head { cursor: default; color: var(--dim); }
summary:hover { background: var(--soft); }
summary > *, .head > * { overflow-wrap: anywhere; }
.body { padding: .2rem 1rem 1rem 4.8rem; }
.ok, .yes { color: var(--good); } .refused, .late { color: var(--wait); } .failed, .crashed, .no, .different { color: var(--bad); } .unchanged { color: var(--dim); }
.right { text-align: right; }
.body h2 { font-size: 1rem; margin: .8rem 0 .2rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: .6rem; overflow-x: auto; white-space: pre-wrap; }
ul { margin: .2rem 0; padding-left: 1.2rem; }
.hint, .why { color: var(--dim); }
.message { white-space: pre-wrap; }
"""

SCRIPT = """
const chosen = {};
function choose(button) {
  const kind = button.dataset.kind, on = button.getAttribute('aria-pressed') !== 'true';
  document.querySelectorAll(`button[data-kind=${kind}]`).forEach(b => b.setAttribute('aria-pressed', 'false'));
  button.setAttribute('aria-pressed', on);
  chosen[kind] = on ? button.dataset.value : undefined;
  let shown = 0;
  document.querySelectorAll('details').forEach(d => {
    d.hidden = Object.entries(chosen).some(([k, v]) => v !== undefined && !d.dataset[k].split(' ').includes(v));
    shown += !d.hidden;
  });
  document.getElementById('shown').textContent = shown;
}
"""


def text(value):
    return html.escape(str(value))


def read_report(directory):
    try:
        return json.loads((directory / "report.json").read_text())
    except (OSError, ValueError):
        return {"units": [], "findings": []}


def finding(entry):
    place = ", ".join(entry[key] for key in ("symbol", "unit", "object", "place") if entry.get(key))
    hint = f"<div class=hint>{text(entry['hint'])}</div>" if entry.get("hint") else ""
    return f"<li><b>{text(entry['severity'])} {text(entry['code'])}</b> <code>{text(place)}</code><div class=message>{text(entry['message'])}</div>{hint}</li>"


def function(entry):
    because = "".join(f"<div class=why>because {text(line)}</div>" for line in entry["because"])
    place = f" <span class=why>{text(entry['file'])}:{entry['line']}</span>" if entry["file"] else ""
    return f"<li>{text(entry['change'])} <code>{text(entry['name'])}</code>{place}{because}</li>"


def body(result, directory):
    report = read_report(directory)
    parts = []
    if result.get("difference"):
        parts.append(f"<p class=different>expected {text(result['expected'])}: {text(result['difference'])}</p>")
    if result["note"]:
        parts.append(f"<p>{text(result['note'])}</p>")
    if report["findings"]:
        parts.append("<h2>Findings</h2><ul>" + "".join(map(finding, report["findings"])) + "</ul>")
    for unit in report["units"]:
        parts.append(f"<h2>{text(unit['unit'])}, part of {text(unit['object'])}</h2><ul>" + "".join(map(function, unit["functions"])) + "</ul>")
        parts += [f"<p class=why>{text(note)}</p>" for note in unit.get("notes", [])]
    messages = directory / "messages.txt"
    said = messages.read_text(errors="replace").strip() if messages.exists() else ""
    if said:
        parts.append(f"<h2>Messages</h2><pre>{text(said)}</pre>")
    return "".join(parts) or "<p>The patch changes no code and no data.</p>"


def row(result, directory):
    state = "different" if result.get("difference") else "expected" if "difference" in result else "none"
    codes = " ".join(result["codes"])
    functions = len(result["changed"]) + len(result["lifted"])
    what = codes or (f"{functions} function{'s' if functions != 1 else ''}" if result["outcome"] == "ok" else "")
    return (f"\n<details data-outcome='{text(result['outcome'])}' data-code='{text(codes)}' data-loaded='{text(result['loaded'])}' data-state='{state}'>"
            f"<summary><span>{text(result['id'])}</span><span>{text(result['file'])}</span>"
            f"<span><b class={text(result['outcome'])}>{text(result['outcome'])}</b> {text(what)}{' <b class=different>!</b>' if state == 'different' else ''}</span>"
            f"<span class={text(result['loaded'])}>{text(result['loaded'])}</span><span class=right>{text(result['seconds'])} s</span></summary>"
            f"<div class=body>{body(result, directory)}</div></details>")


def filters(results, kind, values_of, title):
    counts = {}
    for result in results.values():
        for value in values_of(result):
            counts[value] = counts.get(value, 0) + 1
    buttons = "".join(f"<button data-kind={kind} data-value='{text(value)}' aria-pressed=false onclick=choose(this)>{text(value)} {count}</button>"
                      for value, count in sorted(counts.items()))
    return f"<div>{title}: {buttons}</div>" if counts else ""


def write(results, options, out):
    navigation = filters(results, "outcome", lambda r: [r["outcome"]], "outcome")
    navigation += filters(results, "loaded", lambda r: [r["loaded"]] if r["loaded"] != "-" else [], "loaded")
    navigation += filters(results, "code", lambda r: r["codes"], "code")
    if any("difference" in result for result in results.values()):
        navigation += filters(results, "state", lambda r: ["different" if r["difference"] else "expected"], "held against the expectation")
    rows = "".join(row(result, out / result["id"]) for result in results.values())
    page = (f"<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'><title>Patches as livepatches</title>"
            f"<style>{STYLE}</style><h1>{len(results)} patches as livepatches for {text(options.kernel)}</h1>"
            f"<p class=about>Each line opens. <span id=shown>{len(results)}</span> shown.</p><nav>{navigation}</nav>"
            f"<div class=head><span>id</span><span>file</span><span>outcome</span><span>loaded</span><span class=right>build</span></div>"
            f"{rows}<script>{SCRIPT}</script></html>\n")
    part = out / "results.part"
    part.write_text(page)
    part.rename(out / "results.html")
