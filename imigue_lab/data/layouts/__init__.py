"""How iMiGUE is stored on disk, one file a family; `recognise` finds out which it is."""
