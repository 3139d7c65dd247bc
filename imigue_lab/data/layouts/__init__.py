"""How iMiGUE lies on disk, a file a family; `imigue_lab.data.layout` recognises which it is."""
