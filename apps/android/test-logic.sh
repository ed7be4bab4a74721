#!/usr/bin/env bash
# Compiles the logic module and runs its tests: everything of the Android app that needs no Android, against the contract
# vectors in apps/vectors. Without Gradle and without a network; with Gradle it is `apps/android/gradlew -p apps/android :logic:test`.
#
#   apps/android/test-logic.sh
#
# Needs java 17, and:
#   - the Kotlin compiler: `kotlinc` on the PATH, or from npm:   npm ci --ignore-scripts --prefix apps/android/toolchain
#   - JUnit 4 and Gson, as Debian packages them:                apt-get install junit4 libgoogle-gson-java
#
# Exit codes: 0 passed, 1 failed, 3 where something is not there.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
jars="${S2M_EDGE_JARS:-/usr/share/java}"
compiler="$here/toolchain/node_modules/kotlin-compiler"
build="${S2M_EDGE_ANDROID_BUILD:-$here/logic/build/plain}"

missing() {
  echo "note: $1" >&2
  exit 3
}
command -v java >/dev/null || missing "no java on the PATH"
if command -v kotlinc >/dev/null; then
  kotlinc=(kotlinc)
  standard="$(dirname "$(dirname "$(readlink -f "$(command -v kotlinc)")")")/lib/kotlin-stdlib.jar"
elif [ -f "$compiler/bin/kotlinc" ]; then
  kotlinc=(bash "$compiler/bin/kotlinc")
  standard="$compiler/lib/kotlin-stdlib.jar"
else
  missing "no Kotlin compiler: npm ci --ignore-scripts --prefix apps/android/toolchain"
fi
libraries="$jars/gson.jar:$jars/junit4.jar:$jars/hamcrest.jar"
for jar in ${libraries//:/ }; do
  [ -f "$jar" ] || missing "no $jar: apt-get install junit4 libgoogle-gson-java"
done

# A short-lived compiler is faster without the optimising one of Java.
export JAVA_OPTS="${JAVA_OPTS:--Xmx768M -XX:TieredStopAtLevel=1 -XX:+UseSerialGC}"
rm -rf "$build"
mkdir -p "$build/classes"
# One compilation of both trees: tests see what is internal to the module, as with Gradle.
mapfile -t sources < <(find "$here/logic/src" -name '*.kt' | sort)
"${kotlinc[@]}" -nowarn -jvm-target 17 -no-reflect -module-name logic -classpath "$libraries" -d "$build/classes" "${sources[@]}"
mapfile -t tests < <(find "$here/logic/src/test" -name '*Test.kt' -printf '%f\n' | sed 's/\.kt$//; s/^/org.s2medge.logic./' | sort)
S2M_EDGE_VECTORS="${S2M_EDGE_VECTORS:-$(dirname "$here")/vectors}" \
  java -classpath "$build/classes:$libraries:$standard" org.junit.runner.JUnitCore "${tests[@]}"
