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
  if (lettersAt(bytes, 1, 3) === "PNG" && isApart(bytes)) {
    return "is an animation that begins with another picture: save the one that is meant.";
  }
  if (lettersAt(bytes, 8, 4) === "WEBP" && isTurned(exifOf(bytes))) {
    return "is a WebP that is turned by its EXIF data: save it as PNG or JPEG."; // which Chromium does not turn
  }
  return null;
}

function lettersAt(bytes, start, count) {
  return String.fromCharCode(...bytes.subarray(start, start + count));
}

/** Whether the picture of a PNG is not part of its animation (PNG, 11.3.6), of which Chromium shows the first frame. */
function isApart(bytes) {
  const view = new DataView(bytes.buffer);
  const names = new Set();
  for (let start = 8; start + 8 <= bytes.length && !names.has("IDAT"); start += 12 + view.getUint32(start)) {
    names.add(lettersAt(bytes, start + 4, 4));
  }
  return names.has("acTL") && !names.has("fcTL");
}

/** The EXIF data that Python reads in a WebP: the first, before the file's stated end, where its header says that it has some. */
function exifOf(bytes) {
  const view = new DataView(bytes.buffer);
  const end = Math.min(8 + view.getUint32(4, true), bytes.length);
  const stated = lettersAt(bytes, 12, 4) === "VP8X" && bytes[20] & 8;
  for (let start = 12; stated && start + 8 <= end; ) {
    const size = view.getUint32(start + 4, true);
    if (lettersAt(bytes, start, 4) === "EXIF") {
      return bytes.subarray(start + 8, start + 8 + size);
    }
    start += 8 + size + (size % 2);
  }
  return new Uint8Array();
}

/** How the view of a field of EXIF data reads its kinds that hold a whole number. */
const INTEGERS = { 3: "getUint16", 4: "getUint32", 8: "getInt16", 9: "getInt32" };

/** Whether EXIF data give an orientation other than upright (TIFF 6.0, pages 13 to 16 and 36), as Python finds it. */
function isTurned(exif) {
  while (lettersAt(exif, 0, 6) === "Exif\0\0") {
    exif = exif.subarray(6);
  }
  const [little, order] = [exif[0] === 0x49, lettersAt(exif, 0, 4)];
  if (!["II*\0", "MM\0*"].includes(order) || exif.length < 8) {
    return false;
  }
  const view = new DataView(exif.buffer, exif.byteOffset, exif.length);
  const fields = view.getUint32(4, little) + 2;
  const end = fields <= exif.length ? fields + 12 * view.getUint16(fields - 2, little) : 0;
  let orientation = 1;
  for (let start = fields; start + 12 <= Math.min(end, exif.length); start += 12) {
    const [tag, kind] = [view.getUint16(start, little), view.getUint16(start + 2, little)];
    if (tag === 0x0112 && view.getUint32(start + 4, little) === 1 && INTEGERS[kind]) {
      orientation = view[INTEGERS[kind]](start + 8, little);
    }
  }
  return orientation > 1 && orientation <= 8;
}
