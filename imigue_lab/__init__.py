"""imigue_lab: a workbench for multimodal learning on iMiGUE, micro-gestures and emotion.

The rooms, in the order in which data flow: data, models, features, training, views, app.
Nothing heavy is imported here; torch and umap load where they are used.
"""

from importlib.metadata import version

__version__ = version("imigue_lab")
