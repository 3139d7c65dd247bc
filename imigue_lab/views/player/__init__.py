"""Widgets that share one moment: player, lanes, matrix, lists."""
