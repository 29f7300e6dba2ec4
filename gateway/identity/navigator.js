// Runs in a page before its first script, in a worker before its own, and again where it has run already.
// `said`: what navigator says; `hinted`: whether such a browser has client hints; `locale`: Intl's, or null; `like`
// makes a function print as the browser's own, if there is one to do so (stealth.js).
(said, hinted, locale, like = (made) => made) => {
  const own = (globalThis.Navigator ?? globalThis.WorkerNavigator).prototype;
  // A proxy of the browser's own getter: it throws where that does, and prints as native code.
  for (const [name, value] of Object.entries(said)) {
    const property = Object.getOwnPropertyDescriptor(own, name);
    if (property === undefined || navigator[name] === value) continue;
    const saying = { apply: (get, self, none) => (Reflect.apply(get, self, none), value) };
    property.get = like(new Proxy(property.get, saying), property.get);
    Object.defineProperty(own, name, property);
  }
  if (!hinted) {
    delete own.userAgentData;
    delete globalThis.NavigatorUAData;
  }
  // By default Intl speaks `locale`, where the browser has no language pack for it. Emulation.setLocaleOverride is for
  // a whole process, and lost with the one session in it that was granted it.
  if (locale === null || new Intl.NumberFormat().resolvedOptions().locale === locale) return;
  const or = (list, at) => (list[at] === undefined ? Object.assign([...list], { [at]: locale }) : list);
  const replace = (owner, name, handler) => {
    const property = Object.getOwnPropertyDescriptor(owner ?? {}, name);
    if (property === undefined) return;
    const native = property.value;
    property.value = like(new Proxy(native, handler), native);
    Object.defineProperty(owner, name, property);
    if (native.prototype?.constructor === native) {
      Object.defineProperty(native.prototype, "constructor", { value: property.value, writable: true, configurable: true });
    }
  };
  const formats =
    "Collator DateTimeFormat DisplayNames DurationFormat ListFormat NumberFormat PluralRules RelativeTimeFormat Segmenter";
  for (const name of formats.split(" ")) {
    replace(Intl, name, {
      apply: (to, self, list) => Reflect.apply(to, self, or(list, 0)),
      construct: (to, list, as) => Reflect.construct(to, or(list, 0), as === Intl[name] ? to : as),
    });
  }
  const speaks = (at) => ({ apply: (to, self, list) => Reflect.apply(to, self, or(list, at)) });
  const temporal = Object.values(Object.getOwnPropertyDescriptors(globalThis.Temporal ?? {})).map((one) => one.value);
  for (const type of [Date, Number, BigInt, ...temporal]) replace(type?.prototype, "toLocaleString", speaks(0));
  for (const name of ["toLocaleDateString", "toLocaleTimeString"]) replace(Date.prototype, name, speaks(0));
  for (const name of ["toLocaleLowerCase", "toLocaleUpperCase"]) replace(String.prototype, name, speaks(0));
  replace(String.prototype, "localeCompare", speaks(1));
}
