import { readFileSync } from "node:fs";
import { defineConfig, type Plugin } from "vite";

const FONTS = ["@fontsource/spectral", "@fontsource-variable/familjen-grotesk"];

export default defineConfig({
  // Relative, so that a proxy can serve the page under a path of its own.
  base: "./",
  plugins: [fontLicences()],
  build: {
    target: "es2022",
    // livekit-client alone is more than the limit; it is loaded after the page is there.
    chunkSizeWarningLimit: 600,
    license: { fileName: "licenses/code.md" },
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: {
      "/api": "http://127.0.0.1:8080",
      "/rtc": { target: "ws://127.0.0.1:8080", ws: true },
    },
  },
});

/** Their licence asks to go where the fonts go; Vite only knows what is imported as code. */
function fontLicences(): Plugin {
  return {
    name: "font-licences",
    generateBundle() {
      for (const font of FONTS) {
        const fileName = `licenses/${font.split("/")[1]}.txt`;
        this.emitFile({ type: "asset", fileName, source: readFileSync(`node_modules/${font}/LICENSE`) });
      }
    },
  };
}
