import react from "@vitejs/plugin-react";

export default {
  plugins: [react({ babel: { plugins: ["relay"] } })],
  build: {
    target: "es2022",
    rollupOptions: { input: ["relay.html", "apollo.html", "urql.html"] },
  },
};
