"""After a run or a fit: measures, summaries, the variance split, figures and reports."""

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
from .policy_plots import plot_pareto as plot_pareto
from .population_report import (
    Comparison as Comparison,
    FitStory as FitStory,
    population_figures as population_figures,
    population_report as population_report,
)
from .report import Story as Story, figures as figures, report as report
from .summary import summarise as summarise
from .variance_split import (
    split_independent as split_independent,
    split_values as split_values,
    split_variance as split_variance,
    tell_split as tell_split,
)
