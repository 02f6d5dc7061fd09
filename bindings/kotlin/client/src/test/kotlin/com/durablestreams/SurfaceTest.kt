package com.durablestreams

import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test
import java.lang.reflect.Modifier
import java.nio.file.Files
import java.nio.file.Path
import kotlin.io.path.extension
import kotlin.io.path.isRegularFile
import kotlin.io.path.readLines
import kotlin.io.path.relativeTo
import kotlin.reflect.KClass
import kotlin.reflect.KType
import kotlin.reflect.KVisibility
import kotlin.reflect.full.declaredMembers
import kotlin.reflect.jvm.kotlinFunction

/** What users see: nothing of what is generated, and nothing without a word about it. */
class SurfaceTest {
    private val sources = Path.of("src/main/kotlin")
    private val classes = Path.of("target/classes")

    private fun files(root: Path, extension: String): List<Path> = Files.walk(root).use { found ->
        found.filter { it.isRegularFile() && it.extension == extension && "ffi" !in it.map(Path::toString) }.toList()
    }

    private val loaded: List<Class<*>> by lazy {
        files(classes, "class").map { it.relativeTo(classes).toString().removeSuffix(".class").replace('/', '.') }
            .filter { it != "module-info" }.map { Class.forName(it, false, javaClass.classLoader) }
    }

    @Test
    fun nothingGeneratedShowsInPublicDeclarations() {
        val shown = loaded.filter { !it.isSynthetic && !it.isAnonymousClass && !it.isLocalClass }
            .filter { Modifier.isPublic(it.modifiers) }
        val leaks = shown.flatMap { found ->
            val declared = if (found.simpleName.endsWith("Kt")) {
                found.declaredMethods.mapNotNull { it.kotlinFunction }
            } else {
                val kind = found.kotlin
                if (kind.visibility != KVisibility.PUBLIC) return@flatMap emptyList()
                kind.declaredMembers + kind.constructors
            }
            declared.filter { it.visibility == KVisibility.PUBLIC || it.visibility == KVisibility.PROTECTED }
                .filter { member -> (member.parameters.map { it.type } + member.returnType).any { it.mentionsGenerated() } }
                .map { "${found.name}.${it.name}" }
        }
        assertEquals(emptyList<String>(), leaks)
        assertTrue(shown.size > 30, "only ${shown.size} classes were looked at")
    }

    @Test
    fun nothingGeneratedIsASupertype() {
        val leaks = loaded.filter { Modifier.isPublic(it.modifiers) && !it.isSynthetic }
            .filter { runCatching { it.kotlin.visibility }.getOrNull() == KVisibility.PUBLIC }
            .filter { found -> (found.interfaces.toList() + listOfNotNull(found.superclass)).any(::isGenerated) }
        assertEquals(emptyList<Class<*>>(), leaks)
    }

    private fun isGenerated(found: Class<*>) = found.name.startsWith("com.durablestreams.ffi.")

    private fun KType.mentionsGenerated(): Boolean =
        (classifier as? KClass<*>)?.java?.let(::isGenerated) == true ||
            arguments.any { it.type?.mentionsGenerated() == true }

    @Test
    fun everyPublicNameIsExplained() {
        val declaration = Regex("""^ *(?:(?:open|abstract|sealed|data|enum|fun|inline|suspend|const|public) )*(class|interface|object|fun|val|var|annotation class) """)
        val hidden = Regex("""\b(private|internal|companion object)\b""")
        val silent = files(sources, "kt").filter { "internal" !in it.map(Path::toString) }.flatMap { file ->
            val lines = file.readLines()
            // What is nested in something hidden, or in a function, is nobody's business.
            var hiddenUntil: Int? = null
            lines.withIndex().mapNotNull { (number, line) ->
                val depth = line.indexOfFirst { it != ' ' }
                if (depth < 0) return@mapNotNull null
                hiddenUntil?.let { if (depth > it || line.trim().startsWith(")")) return@mapNotNull null }
                hiddenUntil = null
                if (hidden.containsMatchIn(line.substringBefore('(').substringBefore('='))) {
                    if ("companion object" !in line || "private" in line) hiddenUntil = depth
                    if ("companion" in line && "private" !in line) hiddenUntil = null
                    // A class whose constructor alone is hidden is public.
                    if (!Regex("""class \w+(<.*>)? (internal|private) constructor""").containsMatchIn(line)) return@mapNotNull null
                    hiddenUntil = null
                }
                if (!declaration.containsMatchIn(line)) return@mapNotNull null
                if (line.trimStart().startsWith("fun ") || " fun " in line) hiddenUntil = depth
                val before = lines.subList(0, number).asReversed().firstOrNull { !it.trim().startsWith("@") }.orEmpty()
                if (before.trim().endsWith("*/")) null else "${file.fileName}:${number + 1}: ${line.trim()}"
            }
        }
        assertEquals(emptyList<String>(), silent)
    }
}
