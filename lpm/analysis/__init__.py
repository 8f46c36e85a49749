"""After a run: measures, summaries, figures and a report."""

from .legend import Legend as Legend
from .live import LivePlot as LivePlot
from .measures import (
    gini as gini,
    lorenz as lorenz,
    mean as mean,
    quantile as quantile,
    rate as rate,
    top_share as top_share,
    variance as variance,
)
from .plots import (
    plot_bands as plot_bands,
    plot_by as plot_by,
    plot_compare as plot_compare,
    plot_difference as plot_difference,
    plot_overview as plot_overview,
)
from .report import Story as Story, figures as figures, report as report
from .summary import summarise as summarise
