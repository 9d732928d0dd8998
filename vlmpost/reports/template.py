"""The HTML of a report. Jinja fills it with autoescape on: what a model wrote is text, whatever it looks like.

Only `opening`, `curve` and `bar` values are markup; the last two come from `charts.py`.
"""

from __future__ import annotations

REPORT = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } th, td { padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top; }
th { font-weight: 600; } td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.all td { border-bottom: 1px solid #8886; font-weight: 600; }
.wide { overflow-x: auto; } .muted { opacity: .7; } .bar { display: block; }
.curves { display: flex; flex-wrap: wrap; gap: 1rem; } .curves figure { margin: 0; } figcaption { font-size: .85rem; }
svg text { font-size: 10px; fill: currentColor; }
.swatch { display: inline-block; width: .8em; height: .8em; margin-right: .3em; }
details { border-top: 1px solid #8884; padding: .4rem 0; } summary { cursor: pointer; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #8881; padding: .6rem; margin: .4rem 0; }
.correct { color: #2e8b57; } .wrong { color: #c4551f; } img { max-width: 320px; image-rendering: pixelated; border: 1px solid #8884; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p class="muted">{{ subtitle }}</p>
{{ opening }}
{% if comparison %}
<h2>Accuracy</h2>
<p>Percent of answers that are right, with 95 % intervals over questions
{%- if comparison.level_note %}. {{ comparison.level_note }}{% endif %}</p>
<div class="wide"><table>
<tr><th>questions</th><th class="number">n</th>{% for name in comparison.names %}<th>{{ name }}</th>{% endfor %}</tr>
{% for row in comparison.rows %}
<tr{% if row.first %} class="all"{% endif %}><td>{{ row.name }}</td><td class="number">{{ row.num_questions }}</td>
{% for cell in row.cells %}<td>{{ cell.text }}{{ cell.bar }}</td>{% endfor %}</tr>
{% endfor %}
{% for fact in comparison.facts %}
<tr><td>{{ fact.name }}</td><td></td>{% for value in fact.columns %}<td>{{ value }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% if comparison.pairs %}
<h2>Paired differences</h2>
<p>Points on the same questions, with 95 % intervals; * where the interval excludes 0.</p>
<div class="wide"><table>
<tr><th>questions</th>{% for name in comparison.pairs %}<th class="number">{{ name }}</th>{% endfor %}</tr>
{% for row in comparison.rows %}
<tr{% if row.first %} class="all"{% endif %}><td>{{ row.name }}</td>
{% for text in row.differences %}<td class="number">{{ text }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>
{% endif %}
{% endif %}
{% if curves %}
<h2>Training</h2>
<p>{% for run in curve_runs %}<span class="swatch" style="background:{{ run.color }}"></span>{{ run.name }} &nbsp; {% endfor %}</p>
<div class="curves">
{% for curve in curves %}<figure>{{ curve.svg }}<figcaption>{{ curve.name }}</figcaption></figure>
{% endfor %}</div>
{% endif %}
{% for run in runs %}
<h2>{{ run.name }}</h2>
<table>{% for name, value in run.facts %}<tr><th>{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}</table>
{% for sample in run.samples %}
<details{% if loop.first %} open{% endif %}>
<summary><span class="{{ 'correct' if sample.outcome == 'correct' else 'wrong' }}">{{ sample.outcome }}</span>
 {{ sample.heading }} <span class="muted">({{ sample.facts }})</span></summary>
{% for image in sample.images %}<img src="{{ image }}" alt="image {{ loop.index }} of the question"> {% endfor %}
{% for name in sample.missing_images %}<p class="muted">image not shown: {{ name }}</p>{% endfor %}
<pre>{{ sample.prompt }}</pre>
<pre>{{ sample.text }}</pre>
<p>read <b>{{ sample.extracted }}</b>, reference <b>{{ sample.answer }}</b>;
{% for name, value in sample.parts %}{{ name }} {{ value }}{{ "" if loop.last else ", " }}{% endfor %}</p>
</details>
{% endfor %}
{% endfor %}
</body>
</html>
"""
