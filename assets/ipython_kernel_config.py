# How kernels behave while the book is built: no start-up files or history of the user's, figures as reproducible SVG.
c = get_config()  # noqa: F821
c.IPKernelApp.log_level = 50
c.HistoryManager.hist_file = ":memory:"
c.InlineBackend.figure_formats = {"svg"}
c.InlineBackend.rc = {"svg.hashsalt": "rholaw"}
c.InlineBackend.print_figure_kwargs = {"bbox_inches": "tight", "metadata": {"Date": None}}
