// The half of marked that reads: its tokens become elements without its own half that writes HTML.
export { Lexer, Marked } from "marked";
