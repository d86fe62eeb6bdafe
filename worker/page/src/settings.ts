/** What somebody chose: devices, and how the model is to speak in the next call. */

import type { CallInfo, Wishes } from "./endpoint";

interface Field {
  label: string;
  hint: string;
  /** Range, step and what the model takes by itself; a field without them is words. */
  number?: { max: number; min: number; step: number | "any"; usual: string };
  long?: true;
}

const FIELDS: Record<string, Field> = {
  voice: { label: "Voice", hint: "Whose voice it has." },
  prompt: { label: "Prompt", hint: "Who it is, and what this call is about.", long: true },
  temperature: {
    label: "Temperature",
    hint: "How freely it chooses its sounds. 0 takes the likeliest.",
    number: { min: 0, max: 10, step: "any", usual: "0.8" },
  },
  top_k: {
    label: "Top k",
    hint: "Among how many sounds it chooses.",
    number: { min: 1, max: 1 << 20, step: 1, usual: "250" },
  },
  temperature_text: {
    label: "Temperature of words",
    hint: "The same for what it says.",
    number: { min: 0, max: 10, step: "any", usual: "0.7" },
  },
  top_k_text: {
    label: "Top k of words",
    hint: "Among how many pieces of words it chooses.",
    number: { min: 1, max: 1 << 20, step: 1, usual: "25" },
  },
  seed: {
    label: "Seed",
    hint: "The same seed throws the same dice.",
    number: { min: 0, max: 2 ** 32 - 1, step: 1, usual: "random" },
  },
};

const STORE = "moshi-live";
const SECRET = "moshi-live-secret";
const BLUETOOTH = /bluetooth|airpods|buds|hands-?free|wireless/i;

interface Stored {
  microphone?: string;
  speaker?: string;
  headphones?: boolean;
  wishes?: Record<string, string>;
}

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

export class Settings {
  private readonly controls = new Map<string, Control>();
  private readonly stored: Stored = JSON.parse(localStorage.getItem(STORE) ?? "{}") as Stored;
  private readonly microphones = element<HTMLSelectElement>("microphone");
  private readonly speakers = element<HTMLSelectElement>("speaker");
  private readonly headphonesBox = element<HTMLInputElement>("headphones");
  private readonly secretField = element<HTMLInputElement>("secret");
  private readonly dialog = element<HTMLDialogElement>("settings");

  constructor(onDevice: (kind: "microphone" | "speaker", deviceId: string) => void) {
    element("speaker-choice").hidden = !("setSinkId" in HTMLMediaElement.prototype);
    this.headphonesBox.checked = this.stored.headphones ?? false;
    this.secretField.value = sessionStorage.getItem(SECRET) ?? "";
    element("open-settings").addEventListener("click", () => void this.open());
    this.dialog.addEventListener("change", () => this.keep());
    this.dialog.addEventListener("click", (event) => {
      if (event.target === this.dialog) this.dialog.close();
    });
    this.microphones.addEventListener("change", () => onDevice("microphone", this.microphone));
    this.speakers.addEventListener("change", () => onDevice("speaker", this.speaker));
    navigator.mediaDevices?.addEventListener("devicechange", () => void this.listDevices());
    this.takeSecretFromAddress();
  }

  get microphone(): string {
    return this.microphones.value || (this.stored.microphone ?? "");
  }

  get speaker(): string {
    return this.speakers.value || (this.stored.speaker ?? "");
  }

  get headphones(): boolean {
    return this.headphonesBox.checked;
  }

  get secret(): string {
    return this.secretField.value;
  }

  /** What the next call is asked for: only what was given, and can be. */
  get wishes(): Wishes {
    const wishes: Wishes = {};
    for (const [name, control] of this.controls) {
      const value = control.value.trim();
      if (value && control.checkValidity()) wishes[name] = FIELDS[name]?.number ? Number(value) : value;
    }
    return wishes;
  }

  /** Offer what this server's model takes. */
  describe(info: CallInfo): void {
    element("access").hidden = !info.secret;
    const group = element("wishes");
    group.querySelectorAll("label").forEach((label) => label.remove());
    this.controls.clear();
    for (const [name, field] of Object.entries(FIELDS)) {
      if (info.settings.includes(name)) group.append(this.control(name, field, name === "voice" ? info.voices : []));
    }
    group.hidden = this.controls.size === 0;
  }

  async open(focus?: "secret"): Promise<void> {
    if (focus === "secret") element("access").hidden = false;
    if (!this.dialog.open) this.dialog.showModal();
    if (focus === "secret") this.secretField.focus();
    await this.listDevices();
  }

  private control(name: string, field: Field, choices: string[]): HTMLLabelElement {
    const control = document.createElement(choices.length ? "select" : field.long ? "textarea" : "input");
    if (control instanceof HTMLSelectElement) {
      control.append(new Option("What the server takes", ""), ...choices.map((choice) => new Option(choice)));
    }
    if (control instanceof HTMLInputElement && field.number) {
      const { min, max, step, usual } = field.number;
      Object.assign(control, { type: "number", min, max, step, placeholder: usual, inputMode: "decimal" });
    }
    control.name = name;
    control.value = this.stored.wishes?.[name] ?? "";
    if (control instanceof HTMLSelectElement && control.selectedIndex < 0) control.selectedIndex = 0;
    this.controls.set(name, control);
    const label = document.createElement("label");
    if (field.number) label.className = "number";
    const hint = document.createElement("small");
    hint.textContent = field.hint;
    label.append(field.label, control, hint);
    return label;
  }

  private async listDevices(): Promise<void> {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    this.offer(this.microphones, devices, "audioinput", this.microphone);
    this.offer(this.speakers, devices, "audiooutput", this.speaker);
    this.warnOfBluetooth();
  }

  private offer(select: HTMLSelectElement, devices: MediaDeviceInfo[], kind: MediaDeviceKind, chosen: string): void {
    // Before the microphone was allowed, devices have neither names nor identities.
    const named = devices.filter((device) => device.kind === kind && device.label && device.deviceId !== "default");
    const options = named.map((device) => new Option(device.label, device.deviceId));
    select.replaceChildren(new Option("What the browser uses", ""), ...options);
    select.value = chosen;
    if (select.selectedIndex < 0) select.value = "";
  }

  private warnOfBluetooth(): void {
    const labels = [this.microphones, this.speakers].map((select) => select.selectedOptions[0]?.label ?? "");
    element("bluetooth").hidden = !labels.some((label) => BLUETOOTH.test(label));
  }

  private keep(): void {
    const wishes = Object.fromEntries([...this.controls].map(([name, control]) => [name, control.value]));
    Object.assign(this.stored, { headphones: this.headphones, wishes: { ...this.stored.wishes, ...wishes } });
    if (this.microphones.options.length) this.stored.microphone = this.microphones.value;
    if (this.speakers.options.length) this.stored.speaker = this.speakers.value;
    localStorage.setItem(STORE, JSON.stringify(this.stored));
    sessionStorage.setItem(SECRET, this.secret);
    this.warnOfBluetooth();
  }

  /** `#secret=...` makes one address enough. It is taken out of the address at once: those are shared and kept. */
  private takeSecretFromAddress(): void {
    const secret = new URLSearchParams(location.hash.slice(1)).get("secret");
    if (secret === null) return;
    this.secretField.value = secret;
    sessionStorage.setItem(SECRET, secret);
    history.replaceState(null, "", location.pathname + location.search);
  }
}

export function element<Type extends HTMLElement = HTMLElement>(id: string): Type {
  return document.getElementById(id) as Type;
}
