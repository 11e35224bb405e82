// A cue in another language, without any library: how far each place is from the picture's mean brightness.
//
// It reads of msgpack what the protocol may send, and writes by hand what it answers.
"use strict";
const fs = require("fs");

function readExactly(size) {
  const bytes = Buffer.alloc(size);
  let have = 0;
  while (have < size) {
    let got = 0;
    try {
      got = fs.readSync(0, bytes, have, size - have, null);
    } catch (error) {
      if (error.code === "EAGAIN") continue;
      throw error;
    }
    if (got === 0) return null; // the other side has closed
    have += got;
  }
  return bytes;
}

function writeAll(bytes) {
  let done = 0;
  while (done < bytes.length) {
    try {
      done += fs.writeSync(1, bytes, done);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

// msgpack: a value begins with a byte that says what it is.
function unpack(bytes) {
  let at = 0;
  const number = (size, read) => { const value = read(at); at += size; return value; };
  const text = (size) => { at += size; return bytes.toString("utf8", at - size, at); };
  const list = (size) => Array.from({ length: size }, value);
  const map = (size) => { const found = {}; for (; size > 0; size--) { const key = value(); found[key] = value(); } return found; };
  function value() {
    const kind = bytes[at++];
    if (kind < 0x80) return kind;
    if (kind < 0x90) return map(kind & 0x0f);
    if (kind < 0xa0) return list(kind & 0x0f);
    if (kind < 0xc0) return text(kind & 0x1f);
    if (kind >= 0xe0) return kind - 256;
    switch (kind) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xca: return number(4, (i) => bytes.readFloatBE(i));
      case 0xcb: return number(8, (i) => bytes.readDoubleBE(i));
      case 0xcc: return number(1, (i) => bytes.readUInt8(i));
      case 0xcd: return number(2, (i) => bytes.readUInt16BE(i));
      case 0xce: return number(4, (i) => bytes.readUInt32BE(i));
      case 0xcf: return Number(number(8, (i) => bytes.readBigUInt64BE(i)));
      case 0xd0: return number(1, (i) => bytes.readInt8(i));
      case 0xd1: return number(2, (i) => bytes.readInt16BE(i));
      case 0xd2: return number(4, (i) => bytes.readInt32BE(i));
      case 0xd3: return Number(number(8, (i) => bytes.readBigInt64BE(i)));
      case 0xd9: return text(number(1, (i) => bytes.readUInt8(i)));
      case 0xda: return text(number(2, (i) => bytes.readUInt16BE(i)));
      case 0xdc: return list(number(2, (i) => bytes.readUInt16BE(i)));
      case 0xde: return map(number(2, (i) => bytes.readUInt16BE(i)));
      default: throw new Error(`msgpack of the kind ${kind} is not read here`);
    }
  }
  return value();
}

function pack(value) {
  if (typeof value === "number") { const bytes = Buffer.alloc(5, 0xce); bytes.writeUInt32BE(value, 1); return bytes; }
  if (typeof value === "string") return Buffer.concat([Buffer.from([0xd9, Buffer.byteLength(value)]), Buffer.from(value)]);
  if (Array.isArray(value)) return Buffer.concat([Buffer.from([0x90 | value.length]), ...value.map(pack)]);
  const entries = Object.entries(value);
  return Buffer.concat([Buffer.from([0x80 | entries.length]), ...entries.flat().map(pack)]);
}

// A message: "GASP", three sizes of 4 bytes, one of 8 bytes per part, the header, the parts.
function readMessage() {
  const head = readExactly(16);
  if (head === null) return null;
  const sizes = readExactly(8 * head.readUInt32LE(8));
  const header = unpack(readExactly(head.readUInt32LE(4)));
  const parts = header.arrays.map((_, i) => readExactly(Number(sizes.readBigUInt64LE(8 * i))));
  return { header, parts };
}

function writeMessage(kind, body, arrays, parts) {
  const header = pack({ protocol: "gasp", version: 1, kind, body, arrays });
  const head = Buffer.alloc(16 + 8 * parts.length);
  head.write("GASP");
  head.writeUInt32LE(header.length, 4);
  head.writeUInt32LE(parts.length, 8);
  head.writeUInt32LE(parts.reduce((sum, part) => sum + part.length, 0), 12);
  parts.forEach((part, i) => head.writeBigUInt64LE(BigInt(part.length), 16 + 8 * i));
  writeAll(Buffer.concat([head, header, ...parts]));
}

function contrast(image) {
  const grey = Buffer.alloc(image.length / 3);
  let sum = 0;
  for (let i = 0; i < grey.length; i++) {
    grey[i] = (image[3 * i] + 2 * image[3 * i + 1] + image[3 * i + 2]) >> 2;
    sum += grey[i];
  }
  const mean = sum / grey.length;
  return grey.map((value) => Math.min(255, 2 * Math.abs(value - mean)));
}

for (let message = readMessage(); message !== null; message = readMessage()) {
  const { kind, body, arrays } = message.header;
  if (kind === "hello") writeMessage("ready", {}, [], []);
  if (kind === "frame") {
    const image = arrays.findIndex((array) => array.name === "image");
    const [height, width] = arrays[image].shape;
    const map = { name: "map", encoding: "raw", dtype: "uint8", shape: [height, width] };
    writeMessage("result", { number: body.number }, [map], [contrast(message.parts[image])]);
  }
}
