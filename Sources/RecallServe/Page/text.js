// Numbers as the program's tables write them: a test holds them against those.

export const missing = "–";

/** A number rounded to `decimals` as printf does: of two texts as near the one that ends in an even digit, not the larger. */
function fixed(value, decimals) {
  const text = value.toFixed(decimals);
  // Digits beyond those are exact, however many: a tie ends in a 5, and nothing after it.
  const exact = value.toFixed(decimals + 60);
  const isTie = /^50*$/.test(exact.slice(exact.length - 60));
  if (!isTie || Number(text.at(-1)) % 2 === 0) return text;
  return exact.slice(0, exact.length - 60).replace(/\.$/, "");
}

/** "7 s", "3:05", "1:02:03", "2 d 3 h". */
export function duration(seconds) {
  if (!Number.isFinite(seconds) || seconds >= 1e9) return "?";
  const total = Math.max(0, Math.round(seconds));
  const [hours, minutes, rest] = [Math.floor(total / 3600), Math.floor(total / 60) % 60, total % 60];
  const two = (value) => String(value).padStart(2, "0");
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  if (hours > 0) return `${hours}:${two(minutes)}:${two(rest)}`;
  return minutes > 0 ? `${minutes}:${two(rest)}` : `${rest} s`;
}

/** Three decimals, so cut that what is below 1 does not read 1; a dash for nothing. */
export function accuracy(value) {
  if (value === undefined || value === null) return missing;
  return value < 1 && value >= 0.9995 ? "0.999" : fixed(value, 3);
}

export function loss(value) {
  return value === undefined || value === null ? missing : fixed(value, 3);
}

/** "512 B", "32.5 KiB". */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
  let [scaled, unit] = [value, 0];
  // What would read 1024.0 is of the next unit.
  while (scaled >= (unit === 0 ? 1024 : 1023.95) && unit < units.length - 1) [scaled, unit] = [scaled / 1024, unit + 1];
  return unit === 0 ? `${value} B` : `${fixed(scaled, 1)} ${units[unit]}`;
}

/** "0.003", "1e-05": three digits, or as many as tell the rate from every other. */
export function learningRate(value) {
  let digits = 3;
  while (digits < 17 && Number(value.toPrecision(digits)) !== value) digits += 1;
  const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
  const power = Number(exponent);
  const trimmed = (text) => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (power >= -4 && power < digits) return trimmed(value.toFixed(digits - 1 - power));
  return `${trimmed(mantissa)}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
}

/** Three digits: "812", "67.8k", "1.23M". */
export function count(value) {
  if (value < 1000) return String(value);
  let [scaled, unit] = [value / 1000, 0];
  while (scaled >= 999.5 && unit < 2) [scaled, unit] = [scaled / 1000, unit + 1];
  return fixed(scaled, scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0) + "kMG"[unit];
}

/** "1 run", "3 runs". */
export function number(value, noun) {
  return `${value.toLocaleString("en")} ${noun}${value === 1 ? "" : "s"}`;
}

/** "14:03:22", by this machine's clock. */
export function time(date) {
  return date.toLocaleTimeString("en-GB");
}
