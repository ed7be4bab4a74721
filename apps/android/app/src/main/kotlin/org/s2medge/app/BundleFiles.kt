package org.s2medge.app

import android.content.Context
import android.content.res.AssetManager
import java.io.File

/** The app's models as files, which is what the runtime opens. */
object BundleFiles {
    private const val ASSETS = "models"

    /**
     * The folder with all bundles: copied out of the app once per installed version.
     *
     * What lies there is checked against its SHA-256 afterwards, every time, so a copy that was cut short is refused.
     */
    fun unpack(context: Context): File {
        val installed = context.packageManager.getPackageInfo(context.packageName, 0).lastUpdateTime
        val root = File(context.noBackupFilesDir, ASSETS)
        val target = File(root, installed.toString())
        if (!target.isDirectory) {
            root.deleteRecursively()
            val partial = File(root, "partial")
            if (context.assets.list(ASSETS).isNullOrEmpty()) partial.mkdirs() else copy(context.assets, ASSETS, partial)
            check(partial.renameTo(target)) { "the models cannot be stored" }
        }
        return target
    }

    private fun copy(assets: AssetManager, path: String, target: File) {
        val children = assets.list(path).orEmpty()
        if (children.isEmpty()) {
            target.parentFile?.mkdirs()
            assets.open(path).use { input -> target.outputStream().use(input::copyTo) }
        } else {
            target.mkdirs()
            for (child in children) copy(assets, "$path/$child", File(target, child))
        }
    }
}
