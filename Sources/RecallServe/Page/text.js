// Numbers as the program's tables write them.

export const missing = "–";

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
  return value < 1 && value >= 0.9995 ? "0.999" : value.toFixed(3);
}

export function loss(value) {
  return value === undefined || value === null ? missing : value.toFixed(3);
}

/** "512 B", "32.5 KiB". */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let [scaled, unit] = [value, 0];
  while (scaled >= 1024 && unit < units.length - 1) [scaled, unit] = [scaled / 1024, unit + 1];
  return unit === 0 ? `${value} B` : `${scaled.toFixed(1)} ${units[unit]}`;
}

/** Three digits: "812", "67.8k", "1.23M". */
export function count(value) {
  if (value < 1000) return String(value);
  let [scaled, unit] = [value / 1000, 0];
  while (scaled >= 999.5 && unit < 2) [scaled, unit] = [scaled / 1000, unit + 1];
  return scaled.toFixed(scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0) + "kMG"[unit];
}

/** "1 run", "3 runs". */
export function number(value, noun) {
  return `${value.toLocaleString("en")} ${noun}${value === 1 ? "" : "s"}`;
}

/** "14:03:22", by this machine's clock. */
export function time(date) {
  return date.toLocaleTimeString("en-GB");
}
