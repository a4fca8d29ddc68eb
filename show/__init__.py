"""Output: text, figures, explanations, and the page to draw on."""
