"""KPIs as a picture: one page of six panels, to be shown to a client."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from changeover.domain.kpi import NO_DATA, PER_HOUR, SEVERITIES, Figure, KpiTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT, GRID = "#22303c", "#6a7681", "#dfe4e8"
MAIN, SECOND = "#1f3f66", "#c2541b"
SHADES = ("#8c1d18", "#c2541b", "#e0a458", "#b9c4cf")
"""Of severities 1 to 4, the gravest darkest."""
REASONS = {"wait": "#1f3f66", "rework": "#c2541b", "back_out": "#8c1d18", "out_of_scope": "#e0a458", "other": "#b9c4cf"}
MOST = 12
"""More bars than this cannot be read: the last ones are shown, and the picture says so."""
FEW = 6
"""Up to so many bars have room for two lines over each."""


def kpi_png(table: KpiTable) -> bytes:
    """PNG of an A4 page on its side. Nothing of it depends on a screen or on somebody's settings."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Page
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK, "axes.labelcolor": INK}):
        room = ConstrainedLayoutEngine(hspace=0.08, wspace=0.05, rect=(0.01, 0.03, 0.98, 0.88))
        page = Page(figsize=(11.69, 8.27), dpi=150, layout=room)
        FigureCanvasAgg(page)
        page.text(0.02, 0.97, "Upgrade KPIs", size=17, weight="bold", va="top")
        page.text(0.98, 0.965, _period(table), size=10, color=FAINT, ha="right", va="top")
        buckets = table.buckets[-MOST:] if table.asked.by else ("",)
        left_out = len(table.buckets) - len(buckets) if table.asked.by else 0
        if left_out:
            page.text(0.02, 0.012, f"{left_out} more are not shown", size=8, color=FAINT)
        axes = page.subplots(2, 3)
        for (draw, kpi), ax in zip(_PANELS, axes.flat, strict=True):
            _frame(ax, table.of(kpi)[0].name, _whole(table, kpi))
            draw(ax, table, kpi, buckets)
            _labels(ax, [table.of(kpi, bucket)[0] for bucket in buckets])
        out = io.BytesIO()
        page.savefig(out, format="png", metadata={"Software": None, "Title": "Upgrade KPIs"})
    return out.getvalue()


def _period(table: KpiTable) -> str:
    asked = table.asked
    since = f"from {asked.first}" if asked.first else "from the beginning"
    until = f"to {asked.last}" if asked.last else "to today"
    return f"{since} {until}{f', by {asked.by}' if asked.by else ''}"


def _whole(table: KpiTable, kpi: str) -> str:
    """The figure of everything, under the panel's title."""
    figures = table.of(kpi)
    if kpi == "incident_rate":
        told = " + ".join(str(figure.numerator) for figure in figures)
        return f"{told} in {figures[0].denominator} environments" if figures[0].denominator else NO_DATA
    first = figures[0]
    return f"{first.text()} ({first.of()})" if first.of() and first.denominator else first.text()


def _frame(ax: Axes, title: str, told: str) -> None:
    ax.set_title(title, loc="left", size=11, weight="bold", pad=22)
    under = ax.text(0, 1.03, told, transform=ax.transAxes, size=8.5, color=FAINT, va="bottom")
    under.set_in_layout(False)  # a long line must not widen its column
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.spines["bottom"].set_color(GRID)
    ax.tick_params(length=0, colors=FAINT, labelsize=8)
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def _labels(ax: Axes, figures: Sequence[Figure]) -> None:
    """With many bars, how many each rests on stands here instead of over it."""
    many = len(figures) > FEW
    names = [
        f"{f.bucket or 'all'} ({f.counted})" if many and f.unit in ("share", "of 5") else f.bucket for f in figures
    ]
    names = [name or "all" for name in names]
    wide = max(map(len, names)) * len(names) > 42
    ax.set_xticks(range(len(names)), names, rotation=40 if wide else 0, ha="right" if wide else "center")
    if wide:
        for label in ax.get_xticklabels():
            label.set_rotation_mode("anchor")
    ax.set_xlim(-0.6, len(names) - 0.4)


def _none(ax: Axes, position: int, base: float = 0.0) -> None:
    ax.annotate(NO_DATA, (position, base), xytext=(0, 4), textcoords="offset points", rotation=90,
                ha="center", va="bottom", size=7.5, color=FAINT)  # fmt: skip


def _bars(ax: Axes, figures: Sequence[Figure], *, scale: float, text: Callable[[Figure], str], colour: str) -> None:
    for position, figure in enumerate(figures):
        if figure.value is None:
            _none(ax, position)
            continue
        height = float(figure.value) * scale
        ax.bar(position, height, width=0.62, color=colour)
        told = text(figure) if len(figures) > FEW else f"{text(figure)}\n{figure.of()}"
        ax.annotate(told, (position, height), xytext=(0, 2), textcoords="offset points",
                    ha="center", va="bottom", size=7, color=INK, linespacing=1.1)  # fmt: skip


def _shares(ax: Axes, table: KpiTable, kpi: str, buckets: Sequence[str]) -> None:
    figures = [table.of(kpi, bucket)[0] for bucket in buckets]
    _bars(ax, figures, scale=100, text=lambda f: f"{float(f.value or 0):.0%}", colour=_colour(kpi))
    ax.set_ylim(0, 118)
    ax.set_yticks((0, 25, 50, 75, 100), ("0%", "25%", "50%", "75%", "100%"))


def _satisfaction(ax: Axes, table: KpiTable, kpi: str, buckets: Sequence[str]) -> None:
    figures = [table.of(kpi, bucket)[0] for bucket in buckets]
    _bars(ax, figures, scale=1, text=lambda f: f"{float(f.value or 0):.1f}", colour=_colour(kpi))
    ax.set_ylim(0, 5.9)
    ax.set_yticks(range(6))


def _incidents(ax: Axes, table: KpiTable, kpi: str, buckets: Sequence[str]) -> None:
    """Stacked by severity, the gravest at the foot."""
    for position, bucket in enumerate(buckets):
        base = 0.0
        figures = table.of(kpi, bucket)
        if any(figure.value is None for figure in figures):
            _none(ax, position)
            continue
        for figure, shade in zip(figures, SHADES, strict=True):
            ax.bar(position, float(figure.value or 0), bottom=base, width=0.62, color=shade)
            base += float(figure.value or 0)
        ax.annotate(f"{base:.2f}", (position, base), xytext=(0, 2), textcoords="offset points", ha="center", size=7)
    ax.set_ylabel("per upgraded environment", size=8)
    _room(ax)
    _legend(ax, [(f"severity {severity}", shade) for severity, shade in zip(SEVERITIES, SHADES, strict=True)])


def _costs(ax: Axes, table: KpiTable, kpi: str, buckets: Sequence[str]) -> None:
    """Stacked by reason; hours without a rate are told and not drawn."""
    currency = table.of(kpi)[0].unit
    seen: list[str] = []
    for position, bucket in enumerate(buckets):
        figures = [figure for figure in table.of(kpi, bucket) if figure.unit == currency]
        if not figures or figures[0].value is None:
            _none(ax, position)
            continue
        base = 0.0
        for reason, shade in REASONS.items():
            height = sum(figure.numerator for figure in figures if figure.part == reason) / PER_HOUR
            if height:
                seen.append(reason)
            ax.bar(position, height, bottom=base, width=0.62, color=shade)
            base += height
        ax.annotate(f"{base:,.0f}", (position, base), xytext=(0, 2), textcoords="offset points", ha="center", size=7)
    ax.set_ylabel(currency, size=8)
    _room(ax)
    _legend(ax, [(key.replace("_", " "), shade) for key, shade in REASONS.items() if key in seen])


def _room(ax: Axes) -> None:
    """For the legend, above the tallest bar."""
    top = ax.get_ylim()[1]
    ax.set_ylim(0, top * 1.25 if ax.patches else 1)


def _legend(ax: Axes, entries: Sequence[tuple[str, str]]) -> None:
    from matplotlib.patches import Patch

    if entries and ax.patches:
        handles: list[Any] = [Patch(color=shade, label=label) for label, shade in entries]
        ax.legend(handles=handles, loc="upper center", ncols=min(3, len(handles)), frameon=False,
                  fontsize=7, handlelength=1, columnspacing=1)  # fmt: skip


def _colour(kpi: str) -> str:
    return SECOND if kpi == "failure_rate" else MAIN


_PANELS = (
    (_shares, "failure_rate"),
    (_shares, "success_score"),
    (_shares, "on_time"),
    (_satisfaction, "satisfaction"),
    (_incidents, "incident_rate"),
    (_costs, "non_billable"),
)
