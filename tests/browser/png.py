"""PNG pictures in at most 256 colours: a page has few, and a palette makes the file a third of its size."""

from __future__ import annotations

import base64
import struct
import zlib

from playwright.sync_api import Page

# The browser reads its own picture; the most frequent colours stay as they are, the others take the nearest of them.
PALETTE = """
async ([picture, most]) => {
  const image = await createImageBitmap(await (await fetch("data:image/png;base64," + picture)).blob());
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const data = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
  const counts = new Map();
  for (const pixel of data) counts.set(pixel, (counts.get(pixel) || 0) + 1);
  const parts = (c) => [c & 255, (c >> 8) & 255, (c >> 16) & 255];
  const colours = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map((one) => one[0]);
  const kept = colours.slice(0, most).map(parts);
  const place = new Map();
  colours.forEach((colour, order) => {
    if (order < most) { place.set(colour, order); return; }
    const [r, g, b] = parts(colour);
    let best = 0, least = Infinity;
    kept.forEach(([x, y, z], index) => {
      const far = (r - x) ** 2 + (g - y) ** 2 + (b - z) ** 2;
      if (far < least) { least = far; best = index; }
    });
    place.set(colour, best);
  });
  const indexes = Uint8Array.from(data, (pixel) => place.get(pixel));
  let text = "";
  for (let start = 0; start < indexes.length; start += 32768) {
    text += String.fromCharCode(...indexes.subarray(start, start + 32768));
  }
  return [image.width, image.height, kept.flat(), btoa(text)];
}
"""


def in_few_colours(page: Page, picture: bytes) -> bytes:
    """Return the picture as a PNG with a palette. `page` lends its browser."""
    blank = page.context.new_page()
    try:
        width, height, colours, encoded = blank.evaluate(PALETTE, [base64.b64encode(picture).decode(), 256])
    finally:
        blank.close()
    indexes = base64.b64decode(encoded)
    rows = b"".join(b"\0" + indexes[start : start + width] for start in range(0, width * height, width))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"PLTE", bytes(colours)),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
