// A zip of texts, not compressed: the smallest form that every system opens. Pure.

const TABLE = Uint32Array.from({ length: 256 }, (_, number) => {
  let value = number;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

const crc = (data) => {
  let value = 0xffffffff;
  for (const byte of data) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
};

const UTF8_NAMES = 0x0800;
const VERSION = 20;
const UNIX = 3 << 8;
const FOR_US_ALONE = 0o100600 * 0x10000;

/** Numbers as little-endian bytes: [value, length] each. */
function fields(...numbers) {
  const data = new DataView(new ArrayBuffer(numbers.reduce((sum, [, length]) => sum + length, 0)));
  let at = 0;
  for (const [value, length] of numbers) {
    if (length === 2) data.setUint16(at, value, true);
    else data.setUint32(at, value, true);
    at += length;
  }
  return new Uint8Array(data.buffer);
}

/** `files` as [{ name, text }], `at` in epoch seconds; the parts of a Blob. */
export function zip(files, at) {
  const when = new Date(at * 1000);
  const time = (when.getUTCHours() << 11) | (when.getUTCMinutes() << 5) | (when.getUTCSeconds() >> 1);
  const date = ((when.getUTCFullYear() - 1980) << 9) | ((when.getUTCMonth() + 1) << 5) | when.getUTCDate();
  const parts = [];
  const register = [];
  let place = 0;
  let registered = 0;
  for (const { name, text } of files) {
    const [title, data] = [name, text].map((one) => new TextEncoder().encode(one));
    const common = [[UTF8_NAMES, 2], [0, 2], [time, 2], [date, 2], [crc(data), 4], [data.length, 4], [data.length, 4], [title.length, 2], [0, 2]];
    const head = fields([0x04034b50, 4], [VERSION, 2], ...common);
    const entry = fields([0x02014b50, 4], [UNIX | VERSION, 2], [VERSION, 2], ...common, [0, 2], [0, 2], [0, 2], [FOR_US_ALONE, 4], [place, 4]);
    parts.push(head, title, data);
    register.push(entry, title);
    place += head.length + title.length + data.length;
    registered += entry.length + title.length;
  }
  const end = fields([0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [registered, 4], [place, 4], [0, 2]);
  return [...parts, ...register, end];
}
