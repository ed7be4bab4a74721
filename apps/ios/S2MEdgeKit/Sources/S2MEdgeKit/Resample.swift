import Foundation

/// The contract's resize rule along one axis: for every target its first source and the weights from there on.
///
/// A triangle of radius max(1, in/out) around (t + 0.5) * in/out - 0.5, weights normalised to one, sources outside
/// dropped. Enlarging it is plain bilinear; shrinking it averages.
struct ResampleAxis: Sendable {
    let length: Int
    let newLength: Int
    /// Per target: first source, and where its weights begin in `weights`; one entry more than targets.
    let firstSource: [Int]
    let begin: [Int]
    let weights: [Float]

    init(from length: Int, to newLength: Int) {
        precondition(length > 0 && newLength > 0)
        self.length = length
        self.newLength = newLength
        let scale = Double(length) / Double(newLength)
        let radius = max(1, scale)
        var firstSource: [Int] = []
        var begin = [0]
        var weights: [Float] = []
        for target in 0..<newLength {
            let centre = (Double(target) + 0.5) * scale - 0.5
            let first = max(0, Int((centre - radius).rounded(.up)))
            let last = min(length - 1, Int((centre + radius).rounded(.down)))
            let raw = (first...last).map { max(0, 1 - abs(Double($0) - centre) / radius) }
            let sum = raw.reduce(0, +)
            firstSource.append(first)
            weights.append(contentsOf: raw.map { Float($0 / sum) })
            begin.append(weights.count)
        }
        self.firstSource = firstSource
        self.begin = begin
        self.weights = weights
    }
}

/// Resize planes x height x width to planes x newHeight x newWidth, the columns first.
///
/// Sums are of doubles, rounded to float32 once, at the end: rounded in between, a pixel half-way between two levels would
/// be one in this language and the other in the next.
func resample(
    _ values: [Float], planes: Int, height: Int, width: Int, toHeight newHeight: Int, toWidth newWidth: Int
) -> [Float] {
    precondition(values.count == planes * height * width)
    if height == newHeight && width == newWidth { return values }
    let columns = ResampleAxis(from: width, to: newWidth)
    let narrowed = [Double](unsafeUninitializedCapacity: planes * height * newWidth) { narrowed, count in
        values.withUnsafeBufferPointer { source in
            columns.weights.withUnsafeBufferPointer { weights in
                for row in 0..<(planes * height) {
                    for target in 0..<newWidth {
                        var sum = 0.0
                        var place = row * width + columns.firstSource[target]
                        for tap in columns.begin[target]..<columns.begin[target + 1] {
                            sum += Double(weights[tap]) * Double(source[place])
                            place += 1
                        }
                        narrowed[row * newWidth + target] = sum
                    }
                }
            }
        }
        count = planes * height * newWidth
    }
    return resampleRows(narrowed, planes: planes, height: height, width: newWidth, toHeight: newHeight)
}

/// Resize planes x height x width to planes x newHeight x width.
func resampleRows(_ values: [Double], planes: Int, height: Int, width: Int, toHeight newHeight: Int) -> [Float] {
    let rows = ResampleAxis(from: height, to: newHeight)
    var sums = [Double](repeating: 0, count: width)
    return [Float](unsafeUninitializedCapacity: planes * newHeight * width) { result, count in
        values.withUnsafeBufferPointer { source in
            sums.withUnsafeMutableBufferPointer { sums in
                for plane in 0..<planes {
                    for target in 0..<newHeight {
                        sums.update(repeating: 0)
                        for (step, tap) in (rows.begin[target]..<rows.begin[target + 1]).enumerated() {
                            let weight = Double(rows.weights[tap])
                            let from = (plane * height + rows.firstSource[target] + step) * width
                            for column in 0..<width { sums[column] += weight * source[from + column] }
                        }
                        let into = (plane * newHeight + target) * width
                        for column in 0..<width { result[into + column] = Float(sums[column]) }
                    }
                }
            }
        }
        count = planes * newHeight * width
    }
}
