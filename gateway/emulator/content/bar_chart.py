"""The chart that the code interpreter draws: a bar for each number, with the number above it."""

from collections.abc import Sequence

from gateway.emulator.content.canvas import GLYPH_HEIGHT, GLYPH_WIDTH, Canvas

MAX_BARS = 12
_WIDTH, _HEIGHT, _MARGIN = 480, 300, 24
_SCALE = 2
_WHITE, _GREY, _DARK, _FIRST_BAR, _SECOND_BAR = range(5)
_PALETTE = ((255, 255, 255), (208, 208, 214), (40, 44, 52), (66, 120, 200), (240, 150, 60))


def draw_bar_chart(numbers: Sequence[float]) -> bytes:
    """Return a chart of the first numbers as PNG. Bars of numbers below zero hang from the axis."""
    shown = numbers[:MAX_BARS] or (0.0,)
    canvas = Canvas(_WIDTH, _HEIGHT, _PALETTE)
    label_height = GLYPH_HEIGHT * _SCALE + 6
    highest, lowest = max(0.0, *shown), min(0.0, *shown)
    scale = (_HEIGHT - 2 * (_MARGIN + label_height)) / ((highest - lowest) or 1)
    axis = _MARGIN + label_height + highest * scale
    for quarter in range(5):
        y = _MARGIN + label_height + quarter * (highest - lowest) * scale / 4
        canvas.fill_rectangle(_MARGIN, y, _WIDTH - _MARGIN, y + 1, _GREY)
    step = (_WIDTH - 2 * _MARGIN) / len(shown)
    for place, number in enumerate(shown):
        left, end = _MARGIN + (place + 0.2) * step, axis - number * scale
        canvas.fill_rectangle(left, min(axis, end), left + 0.6 * step, max(axis, end), _FIRST_BAR + place % 2)
        label = f"{number:.6g}"
        width = len(label) * (GLYPH_WIDTH + 1) * _SCALE
        top = end - label_height if number >= 0 else end + 6
        canvas.write_digits(label, left + 0.3 * step - width / 2, top, _SCALE, _DARK)
    canvas.fill_rectangle(_MARGIN, axis, _WIDTH - _MARGIN, axis + 2, _DARK)
    return canvas.to_png()
