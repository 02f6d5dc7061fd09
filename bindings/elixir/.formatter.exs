[
  inputs: ["{mix,.formatter}.exs", "{lib,test,adapter,bench,examples}/**/*.{ex,exs}"],
  line_length: 110
]
