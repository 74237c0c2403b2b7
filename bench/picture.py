# SPDX-License-Identifier: Apache-2.0
"""docs/benchmarks.svg: horizontal bars on logarithmic scales, a panel for each unit. Readable on light and dark."""
import math
from xml.sax.saxutils import escape

import report

WIDTH, LEFT, RIGHT = 880, 236, 76
BAR, BAR_GAP, ROW_GAP = 11, 2, 11
HEAD, PANEL_HEAD, PANEL_FOOT = 74, 34, 14
TITLES = {"ns": "Nanoseconds per operation", "ms": "Milliseconds per run", "bytes": "Bytes per process"}
STYLE = """
  text { font: 12px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #24292f }
  .paper { fill: #ffffff } .grid { stroke: #d8dee4; stroke-width: 1 }
  .title { font-size: 17px; font-weight: 600 } .panel { font-weight: 600 }
  .soft { fill: #57606a } .value { font-size: 10px; fill: #57606a } .mine { font-weight: 700; fill: #24292f }
  .mote { fill: #d9480f } .mote-handler { fill: #f2a65a } .erlang { fill: #8a2252 } .go { fill: #1c7fa6 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .paper { fill: #0d1117 } .grid { stroke: #30363d }
    .soft, .value { fill: #9da7b3 } .mine { fill: #e6edf3 }
    .mote { fill: #ff7a3d } .mote-handler { fill: #a8602a } .erlang { fill: #cf5b93 } .go { fill: #45b0da }
  }
"""


class Scale:
    """Maps values to x by their logarithm, over whole decades; what is not positive lies at the left edge."""

    def __init__(self, values):
        self.low = math.floor(math.log10(min(values)) - 0.15)
        self.high = max(math.ceil(math.log10(max(values))), self.low + 1)

    def x(self, value):
        share = (math.log10(value) - self.low) / (self.high - self.low) if value > 0 else 0
        return LEFT + max(share, 0) * (WIDTH - LEFT - RIGHT)

    def decades(self):
        return [10.0**power for power in range(self.low, self.high + 1)]


def _text(x, y, text, style="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}" text-anchor="{anchor}">{escape(text)}</text>'


def _rows(results):
    """The picture's rows by unit: (label, [(peer, value)])."""
    panels = {}
    for label, schedulers, metric in results.plan.PICTURE:
        bars = [(peer, results.median(f"{peer}/{schedulers}/{metric}")) for peer in results.plan.NAMES]
        bars = [(peer, value) for peer, value in bars if value is not None and value > 0]
        if bars:
            panels.setdefault(results.units[metric], []).append((f"{label}, S{schedulers}", bars))
    return panels


def _row(y, label, bars, scale):
    height = len(bars) * (BAR + BAR_GAP)
    parts = [_text(LEFT - 10, y + height / 2 + 3, label, "", "end")]
    for peer, value in bars:
        x = scale.x(value)
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{max(x - LEFT, 1):.1f}" height="{BAR}" rx="1.5" class="{peer}"/>')
        parts.append(_text(x + 5, y + BAR - 2, report.number(value), "value mine" if peer == "mote" else "value"))
        y += BAR + BAR_GAP
    return parts, height + ROW_GAP


def _panel(y, unit, rows):
    scale = Scale([value for _, bars in rows for _, value in bars])
    height = sum(len(bars) * (BAR + BAR_GAP) + ROW_GAP for _, bars in rows)
    parts = [_text(LEFT - 32, y + 20, TITLES.get(unit, unit), "panel", "end")]
    for decade in scale.decades():
        x = scale.x(decade)
        parts.append(f'<line x1="{x:.1f}" y1="{y + 26}" x2="{x:.1f}" y2="{y + PANEL_HEAD + height - 4}" class="grid"/>')
        parts.append(_text(x, y + 20, f"{decade:,.10g}", "soft", "middle"))
    y += PANEL_HEAD
    for label, bars in rows:
        row, used = _row(y, label, bars, scale)
        parts += row
        y += used
    return parts, y + PANEL_FOOT


def _legend(results, peers):
    parts, x = [], LEFT
    for peer in peers:
        parts.append(f'<rect x="{x}" y="50" width="12" height="12" rx="2" class="{peer}"/>')
        parts.append(_text(x + 18, 60.5, results.plan.NAMES[peer]))
        x += 50 + 8 * len(results.plan.NAMES[peer])
    return parts


def draw(results):
    """The whole picture; with nothing measured, its title alone."""
    panels = _rows(results)
    peers = [peer for peer in results.plan.NAMES if any(peer == p for rows in panels.values() for _, bars in rows for p, _ in bars)]
    subtitle = "shorter is better; logarithmic scales; S1, S2: one and two schedulers"
    parts = [_text(20, 28, "mote beside its peers", "title"), _text(236, 28, subtitle, "soft"), *_legend(results, peers)]
    y = HEAD
    for unit, rows in panels.items():
        panel, y = _panel(y, unit, rows)
        parts += panel
    body = "\n".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img">\n'
            f"<title>mote beside its peers</title>\n<style>{STYLE}</style>\n"
            f'<rect width="{WIDTH}" height="{y}" class="paper"/>\n{body}\n</svg>\n')
