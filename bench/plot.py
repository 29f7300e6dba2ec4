"""One SVG of a run: the relay beside its peers, the way to a first page, memory, and the goals.

The same figures always give the same file: no date, ids from a fixed salt.
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bench import relay, sessions
from bench.figures import Figure
from bench.goals import Row
from bench.report import amount, reference
from bench.subjects import DIRECT, GATEWAY, HTTP_PROXY, NGINX

GATEWAY_BLUE, PALE_BLUE, ORANGE, GREY, PALE_GREY = "#1f6feb", "#8db9f5", "#d9822b", "#8c959f", "#c9ced4"
GOOD, BAD, INK, QUIET = "#1a7f37", "#cf222e", "#24292f", "#6e7781"
COLOURS = {
    GATEWAY: GATEWAY_BLUE,
    sessions.WARM: GATEWAY_BLUE,
    sessions.COLD: PALE_BLUE,
    HTTP_PROXY: ORANGE,
    sessions.BROWSERLESS: ORANGE,
    NGINX: GREY,
    DIRECT: PALE_GREY,
    sessions.CHROMIUM: PALE_GREY,
}
STYLE = {
    "svg.hashsalt": "cdp-gateway",
    "svg.fonttype": "path",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


def draw(figures: Sequence[Figure], rows: Sequence[Row], machine: str, file: Path) -> None:
    """Write the plot to `file`. Panels whose figures were not measured stay empty."""
    run = {figure.what: figure for figure in figures}
    with mpl.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.16, h_pad=0.14)
        canvas = Canvas(figsize=(11, 9.6), layout=layout, facecolor="white")
        grid = canvas.add_gridspec(3, 2, height_ratios=(1, 1, 1.15))
        _bars(
            canvas.add_subplot(grid[0, 0]),
            "The relay, as a multiple of its reference (less is better)",
            [
                ("round trip,\none core", run.get(relay.EVALUATE_P50)),
                ("CPU per\nround trip", run.get(relay.CPU_ROUND_TRIP)),
                ("CPU per\nevent", run.get(relay.CPU_EVENT)),
                ("memory, idle\nconnection", run.get(relay.IDLE_CONNECTION)),
            ],
            ratio=True,
        )
        _bars(
            canvas.add_subplot(grid[0, 1]),
            "Throughput, as a multiple of Chromium's own (more is better)",
            [
                ("20 MB\nresponse", run.get(relay.RESPONSE_20)),
                ("5 MB\nrequest", run.get(relay.REQUEST_5)),
                ("commands\nwithout waiting", run.get(relay.PIPELINED)),
            ],
            ratio=True,
        )
        _bars(
            canvas.add_subplot(grid[1, 0]),
            "From nothing to a page, ms",
            [
                ("connect", run.get(sessions.CONNECT)),
                ("connect, new page,\nfirst navigation", run.get(sessions.FIRST_PAGE)),
            ],
        )
        _bars(
            canvas.add_subplot(grid[1, 1]),
            "Memory (PSS) of an idle session, MB",
            [(f"{count} at once", run.get(sessions.memory(count))) for count in sessions.COUNTS],
        )
        _goals(canvas.add_subplot(grid[2, :]), rows, machine)
        canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def _bars(axes: Axes, title: str, groups: Sequence[tuple[str, Figure | None]], *, ratio: bool = False) -> None:
    """A group of bars for each figure that was measured, a bar for each subject."""
    axes.set_title(title)
    shown = [(label, figure) for label, figure in groups if figure is not None]
    subjects = list(dict.fromkeys(name for _, figure in shown for name in figure.subjects))
    width = 0.8 / max(1, len(subjects))
    for index, name in enumerate(subjects):
        for place, (_, figure) in enumerate(shown):
            if name not in figure.subjects:
                continue
            to = reference(figure) if ratio else None
            value = figure.ratio(name, to) if to else figure.median(name)
            bar = axes.bar(place + (index - (len(subjects) - 1) / 2) * width, value, width * 0.92, color=COLOURS[name])
            axes.bar_label(bar, [f"{value:.2f}" if ratio else amount(value)], fontsize=7.5, padding=1.5)
        axes.bar(0, 0, color=COLOURS[name], label=name)  # for the legend alone
    axes.set_xticks(range(len(shown)), [label for label, _ in shown])
    axes.margins(y=0.25)
    if not shown:
        axes.text(0.5, 0.5, "not measured", ha="center", color=QUIET, transform=axes.transAxes)
        axes.set_yticks([])
        return
    if ratio:
        axes.axhline(1, color=QUIET, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
    axes.legend(ncols=len(subjects), loc="upper center", handlelength=1, handletextpad=0.5, columnspacing=1)


def _goals(axes: Axes, rows: Sequence[Row], machine: str) -> None:
    """The goals as lines of text, and the machine below."""
    axes.set_axis_off()
    axes.set_title("Goals")
    lines = len(rows) + 1.6
    for number, row in enumerate(rows):
        height = 1 - (number + 0.6) / lines
        colour = {True: GOOD, False: BAD, None: QUIET}[row.met]
        axes.text(0.0, height, row.what, transform=axes.transAxes, va="center")
        axes.text(0.66, height, row.wanted, transform=axes.transAxes, va="center", ha="right", color=QUIET)
        axes.text(0.82, height, row.measured, transform=axes.transAxes, va="center", ha="right")
        word = {True: "met", False: "missed", None: "–"}[row.met]
        axes.text(0.93, height, word, transform=axes.transAxes, va="center", ha="right", color=colour, weight="bold")
    axes.text(0.0, 0.0, machine, transform=axes.transAxes, fontsize=7.5, color=QUIET, va="bottom")
