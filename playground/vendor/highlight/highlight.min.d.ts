/** What the page uses of highlight.js, whose release for browsers comes without types. */
declare const highlight: {
  getLanguage(name: string): object | undefined;
  highlight(code: string, options: { language: string; ignoreIllegals?: boolean }): { value: string };
};
export default highlight;
