// File → pixels.

/** The picture in a file, decoded by the browser, upright. */
async function bitmapOf(blob) {
  const name = blob.name ? `“${blob.name}”` : "This";
  let bitmap, bytes;
  try {
    if (blob.type === "image/svg+xml") {
      throw new TypeError("drawn, not made of pixels");
    }
    const options = { imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none" };
    bitmap = await createImageBitmap(blob, options);
    bytes = new Uint8Array(await blob.arrayBuffer());
  } catch {
    throw new Error(`${name} is not a picture that this browser can read: choose a PNG, JPEG, WebP, GIF or BMP.`);
  }
  const refusal = refusalOf(bitmap, bytes);
  if (refusal) {
    bitmap.close();
    throw new Error(`${name} ${refusal}`);
  }
  return bitmap;
}

/** Why a picture is not answered, where its pixels are too many, or not those that Python sees; or null. */
function refusalOf({ width: wide, height: high }, bytes) {
  if (wide * high > MAX_PIXELS || Math.max(wide, high) > MAX_SIDE) {
    return `has more than ${MAX_PIXELS / 1e6} megapixels, or a side of more than ${MAX_SIDE} pixels: choose a smaller picture.`;
  }
  if (lettersAt(bytes, 1, 3) === "PNG" && bytes[24] === 16 && bytes[25] === 0) { // PNG, 11.2.1: bit depth, color type
    return "has 16 bits of gray, of which a browser keeps 8: save it with 8 bits.";
  }
  if (lettersAt(bytes, 8, 4) === "WEBP" && isTurned(exifOf(bytes))) {
    return "is a WebP that is turned by its EXIF data: save it as PNG or JPEG."; // which Chromium does not turn
  }
  return null;
}

function lettersAt(bytes, start, count) {
  return String.fromCharCode(...bytes.subarray(start, start + count));
}

/** The EXIF data of a WebP, empty where it has none. */
function exifOf(bytes) {
  const view = new DataView(bytes.buffer);
  for (let start = 12; start + 8 <= bytes.length; ) {
    const size = view.getUint32(start + 4, true);
    if (lettersAt(bytes, start, 4) === "EXIF") {
      return bytes.slice(start + 8, start + 8 + size);
    }
    start += 8 + size + (size % 2);
  }
  return new Uint8Array();
}

/** Whether EXIF data give an orientation other than upright (TIFF 6.0, pages 13 to 16 and 36). */
function isTurned(exif) {
  const tiff = lettersAt(exif, 0, 6) === "Exif\0\0" ? exif.slice(6) : exif;
  const [little, order] = [tiff[0] === 0x49, lettersAt(tiff, 0, 4)];
  if (!["II*\0", "MM\0*"].includes(order) || tiff.length < 8) {
    return false;
  }
  const view = new DataView(tiff.buffer);
  const fields = view.getUint32(4, little);
  const end = fields + 2 <= tiff.length ? fields + 2 + 12 * view.getUint16(fields, little) : 0;
  for (let start = fields + 2; start + 12 <= Math.min(end, tiff.length); start += 12) {
    const [tag, kind] = [view.getUint16(start, little), view.getUint16(start + 2, little)];
    if (tag === 0x0112 && [3, 4].includes(kind)) { // a short or a long number
      const orientation = kind === 3 ? view.getUint16(start + 8, little) : view.getUint32(start + 8, little);
      return orientation > 1 && orientation <= 8;
    }
  }
  return false;
}
