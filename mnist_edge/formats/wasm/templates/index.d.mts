/** What the module was exported with. */
export const contract: {
  task: {
    name: string;
    labels: string[];
    input: { shape: [number, number, number]; [field: string]: unknown };
    preprocessing: string;
  };
  checkpoint: string;
  temperature: number;
  [field: string]: unknown;
};

/** What each logit stands for. */
export const labels: string[];

/** The answer to an image. */
export interface Answer {
  /** Index into `labels`. */
  index: number;
  label: string;
  /** Probability of the label, 0 to 1. */
  confidence: number;
  probabilities: number[];
  logits: Float32Array;
  /** Whether the image is as those that were learned from, and its label ahead of the others. */
  certain: boolean;
}

/** The answer to a picture. */
export interface PictureAnswer extends Answer {
  /** `uncertain`: do not rely on the label. */
  status: "ok" | "uncertain";
  /** Pieces of ink beside the digit that are about as large. */
  otherDigits: number;
  /**
   * Of the digit in the picture: left, top, right and bottom, in pixels, the last two not included; the whole picture where
   * that already is as the model takes it, or where the preprocessing looks for no digit.
   */
  box: [number, number, number, number];
  /** What the model saw, as bytes. */
  image: Uint8Array;
}

/** Nothing stands out from the background of a picture. */
export interface NoDigit {
  status: "no_digit";
}

/** A network in memory of its own. */
export class Model {
  private constructor();
  /** Read a picture: rows of pixels of 1 (gray), 3 (RGB) or 4 (RGBA; an alpha of 255 everywhere is none) bytes, upright. */
  predict(pixels: Uint8Array | Uint8ClampedArray, width: number, height: number): PictureAnswer | NoDigit;
  /** Answer an image that is as the model takes it: bytes, row by row, the channels of a pixel beside each other. */
  classify(image: Uint8Array | Uint8ClampedArray): Answer;
  /** The logits of an image as floats in [0, 1], row by row, the channels of a pixel beside each other. */
  run(values: Float32Array): Float32Array;
  /** How many of the test vectors give other logits here than they must, in any bit: 0 where all is well. */
  selfTest(): number;
}

/**
 * Load the module: from beside the script, from another URL, or from its bytes. It is refused unless it is the one that the
 * script was exported with.
 */
export function load(source?: string | URL | ArrayBufferLike | ArrayBufferView): Promise<Model>;
