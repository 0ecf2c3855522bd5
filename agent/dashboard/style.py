"""The page around the charts. Braces of the style are doubled: it is a format string."""

from __future__ import annotations

# On a phone the legend stands in two columns under the charts and must not take their height.
FIT = """(() => {
  const box = document.getElementById("{plot_id}");
  let tall = 0;
  const fit = () => {
    const height = box.clientWidth < 600 ? 1420 : 1120;
    if (height === tall) return;
    tall = height;
    box.parentElement.style.height = "auto";
    box.style.height = height + "px";
    Plotly.relayout(box, {height});
  };
  addEventListener("resize", fit);
  fit();
})();"""

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Evenkeel: {title}</title>
<style>
:root {{ --ink: #17202c; --soft: #5b6675; --line: #dfe4ea; --ground: #fbfcfd; --card: #ffffff;
  --with: #0072b2; --without: #d55e00; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #e8ecf1; --soft: #9aa5b4; --line: #2b333d;
  --ground: #11161c; --card: #171d25; --with: #56b4e9; --without: #e8833a; }} }}
@media (prefers-color-scheme: dark) {{
  #runs [style*="stroke: rgb(0, 114, 178)"] {{ stroke: var(--with) !important; }}
  #runs [style*="fill: rgb(0, 114, 178)"] {{ fill: var(--with) !important; }}
  #runs [style*="stroke: rgb(213, 94, 0)"] {{ stroke: var(--without) !important; }}
  #runs [style*="fill: rgb(213, 94, 0)"] {{ fill: var(--without) !important; }}
  #runs [style*="fill: rgb(0, 158, 115)"] {{ fill-opacity: 0.3 !important; }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--ground); color: var(--ink);
  font: 15px/1.5 ui-sans-serif, system-ui, -apple-system, "Segoe UI", sans-serif; }}
main {{ max-width: 1120px; margin: 0 auto; padding: 28px 18px 48px; }}
h1 {{ font-size: 24px; line-height: 1.25; margin: 0; letter-spacing: -0.01em; }}
.subtitle {{ color: var(--soft); margin: 4px 0 0; }}
.verdict {{ font-size: 18px; margin: 18px 0; max-width: 62ch; }}
.card {{ background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 14px 16px;
  margin: 0 0 18px; overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 6px 8px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }}
tr:last-child th, tr:last-child td {{ border-bottom: 0; }}
th[scope=row] {{ text-align: left; font-weight: 400; color: var(--soft); white-space: normal; }}
thead th {{ font-weight: 600; }}
.with {{ color: var(--with); }}
.without {{ color: var(--without); }}
footer {{ color: var(--soft); font-size: 13px; max-width: 80ch; }}
.unseen {{ position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }}
@media (max-width: 520px) {{ main {{ padding: 18px 10px 32px; }} .card {{ padding: 10px 8px; }}
  table {{ font-size: 13px; }} th, td {{ padding: 6px 3px; }} }}
</style>
</head>
<body>
<main>
"""

PAGE = (
    HEAD
    + """<h1>{title}</h1>
<p class="subtitle">{subtitle}</p>
<p class="verdict">{head}</p>
<section class="card" aria-label="Figures of both runs">
<table>
<caption class="unseen">Both runs compared</caption>
<thead><tr><th scope="col"><span class="unseen">Figure</span></th><th scope="col" class="with">With agent</th>
<th scope="col" class="without">Without agent</th></tr></thead>
<tbody>
{rows}
<tr><th scope="row">Intents executed more than once</th><td colspan="2" id="doubled">{doubled}</td></tr>
{waited}
</tbody>
</table>
</section>
<section class="card" role="img" aria-label="Net delta, distances, prices and cost of both runs over time">
{chart}
</section>
<footer>
<p>Both runs play the same market on the protocols' own contracts. Every figure is read from the chain:
samples at each block's hash; liquidations, hedges and costs from the contracts' logs and receipts. A distance
is the relative move of the price to where the protocol itself would liquidate the account; distances beyond
{far} are drawn at {far}, accounts that no price liquidates are not drawn.</p>
</footer>
</main>
</body>
</html>
"""
)
