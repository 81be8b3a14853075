// What a file is known by: quickly (fingerprint), or for certain (SHA-256 of all of it).
// Not crypto.subtle: it needs https, and the whole file in memory.
import { sha256 } from "../vendor/noble-sha256-2.4.0.min.js";

const END = 64 * 1024;
const PIECE = 4 * 1024 * 1024;

function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function bytesOf(blob) { return new Uint8Array(await blob.arrayBuffer()); }

// Name, size, date, first and last bytes: the same file on another day or after a crash.
export async function fingerprint(file) {
  const hash = sha256.create();
  hash.update(new TextEncoder().encode(JSON.stringify([file.name, file.size, file.lastModified])));
  hash.update(await bytesOf(file.slice(0, END)));
  hash.update(await bytesOf(file.slice(Math.max(0, file.size - END))));
  return hex(hash.digest());
}

// In pieces, giving way to the page between them; `onProgress` hears fractions.
export async function wholeHash(file, onProgress, isStopped) {
  const hash = sha256.create();
  for (let at = 0; at < file.size; at += PIECE) {
    hash.update(await bytesOf(file.slice(at, at + PIECE)));
    onProgress(Math.min(1, (at + PIECE) / file.size));
    await new Promise((resolve) => { setTimeout(resolve); });
    if (isStopped()) return "";
  }
  return hex(hash.digest());
}
