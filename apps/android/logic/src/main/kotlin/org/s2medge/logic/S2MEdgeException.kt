package org.s2medge.logic

/**
 * Everything that can go wrong before a mask is shown.
 *
 * @property reason what is wrong, one sentence without a trailing full stop.
 * @property remedy what the person at the screen, or the one who built the app, can do.
 * @property refusal why a bundle was refused, as every reader of bundles calls it; null for everything else.
 */
class S2MEdgeException(val reason: String, val remedy: String, val refusal: Refusal? = null) :
    Exception("$reason. $remedy")

/** Why a bundle is refused. @property word the same in every language, as in `apps/vectors/refusals/index.json`. */
enum class Refusal(val word: String) {
    NO_BUNDLE("no-bundle"),
    NOT_JSON("not-json"),
    DUPLICATE_KEY("duplicate-key"),
    NOT_A_CONTRACT("not-a-contract"),
    OLDER_VERSION("older-version"),
    NEWER_VERSION("newer-version"),
    UNKNOWN_TARGET("unknown-target"),
    UNKNOWN_PRECISION("unknown-precision"),
    TOO_LARGE("too-large"),
    OUTSIDE_BUNDLE("outside-bundle"),
    LINK("link"),
    MISSING_FILE("missing-file"),
    EXTRA_FILE("extra-file"),
    HASH_DIFFERS("hash-differs"),
    GATE_FAILED("gate-failed"),
    NOT_MEASURED("not-measured"),
    GOLDEN_DAMAGED("golden-damaged"),
    GOLDEN_FOREIGN("golden-foreign"),
    GOLDEN_NOT_FINITE("golden-not-finite"),
    GOLDEN_EMPTY("golden-empty"),
    DAMAGED("damaged"),
}

internal const val EXPORT_AGAIN = "Export the bundle again with s2m-edge export."
