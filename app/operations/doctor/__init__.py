"""``linli doctor``: whether everything that the settings name is there, answers, and is as it must be."""
