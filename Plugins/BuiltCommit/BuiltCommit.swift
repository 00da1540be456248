import Foundation
import PackagePlugin

/// Writes the commit that is being built into a source file of the target, at every build. (A manifest that asked git
/// would be cached with its answer.) "+" marks changes on top of the commit; without git or a repository it is empty.
@main
struct BuiltCommit: BuildToolPlugin {
    func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
        let folder = context.pluginWorkDirectoryURL
        let script = """
            commit=$(git -C "$1" rev-parse --short=12 HEAD 2>/dev/null)
            if [ -n "$commit" ] && [ -n "$(git -C "$1" status --porcelain 2>/dev/null)" ]; then commit="$commit+"; fi
            text="/// The commit of the sources that this was built from, or nothing.
            let builtFromCommit = \\"$commit\\""
            # Only a change is written: the same commit must not compile anything again.
            if [ "$(cat "$2" 2>/dev/null)" != "$text" ]; then printf '%s\\n' "$text" > "$2"; fi
            """
        return [
            .prebuildCommand(
                displayName: "Asking git for the commit",
                executable: URL(filePath: "/bin/sh"),
                arguments: [
                    "-c", script, "sh", context.package.directoryURL.path(),
                    folder.appending(path: "BuiltFromCommit.swift").path(),
                ],
                outputFilesDirectory: folder
            )
        ]
    }
}
