package org.s2medge.logic

/**
 * Everything that can go wrong before a mask is shown.
 *
 * @property reason what is wrong, one sentence without a trailing full stop.
 * @property remedy what the person at the screen, or the one who built the app, can do.
 */
class S2MEdgeException(val reason: String, val remedy: String) : Exception("$reason. $remedy")

internal const val EXPORT_AGAIN = "Export the bundle again with s2m-edge export."
