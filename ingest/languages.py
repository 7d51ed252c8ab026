"""Languages of source code, by the suffix of a file."""

from __future__ import annotations

LANGUAGES = {
    ".bash": "shell", ".c": "c", ".cc": "c++", ".cfg": "ini", ".conf": "ini", ".cpp": "c++", ".cs": "c#", ".css": "css",
    ".dart": "dart", ".ex": "elixir", ".exs": "elixir", ".f90": "fortran", ".go": "go", ".graphql": "graphql",
    ".h": "c", ".hpp": "c++", ".hs": "haskell", ".ini": "ini", ".java": "java", ".jl": "julia", ".js": "javascript",
    ".jsx": "javascript", ".kt": "kotlin", ".lua": "lua", ".m": "matlab", ".mjs": "javascript", ".ml": "ocaml",
    ".php": "php", ".pl": "perl", ".proto": "protobuf", ".ps1": "powershell", ".py": "python", ".r": "r", ".rb": "ruby",
    ".rs": "rust", ".scala": "scala", ".sh": "shell", ".sql": "sql", ".swift": "swift", ".tf": "terraform",
    ".ts": "typescript", ".tsx": "typescript", ".vb": "basic", ".xml": "xml", ".yaml": "yaml",
    ".yml": "yaml",
}  # fmt: skip
