import AVFoundation
import CoreVideo
import Foundation
import S2MEdgeKit

/// The back camera's frames, one at a time: a frame that comes while one is being worked on is dropped.
final class CameraSession: NSObject, @unchecked Sendable {
    // Everything below is touched on `queue` only, and `handler` is set before the session starts.
    private let session = AVCaptureSession()
    private let output = AVCaptureVideoDataOutput()
    private let queue = DispatchQueue(label: "org.s2medge.camera", qos: .userInitiated)
    private var configured = false
    private var busy = false
    private var handler: (@Sendable (Picture) async -> Void)?

    /// Ask for the camera where that was not done, and start.
    ///
    /// Throws `S2MEdgeError`: denied, or no camera.
    func start(_ handler: @escaping @Sendable (Picture) async -> Void) async throws {
        guard await AVCaptureDevice.requestAccess(for: .video) else {
            throw S2MEdgeError("this app may not use the camera", remedy: "Allow it in Settings, under S2M-Edge.")
        }
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, Error>) in
            queue.async {
                do {
                    self.handler = handler
                    self.busy = false
                    try self.configure()
                    if !self.session.isRunning { self.session.startRunning() }
                    continuation.resume()
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    func stop() {
        queue.async {
            self.handler = nil
            if self.session.isRunning { self.session.stopRunning() }
        }
    }

    private func configure() throws {
        if configured { return }
        let missing = S2MEdgeError("this device has no camera that can be used", remedy: "Choose a picture instead.")
        guard let camera = AVCaptureDevice.default(.builtInWideAngleCamera, for: .video, position: .back),
            let input = try? AVCaptureDeviceInput(device: camera)
        else { throw missing }
        session.beginConfiguration()
        defer { session.commitConfiguration() }
        session.sessionPreset = .hd1280x720
        output.alwaysDiscardsLateVideoFrames = true
        output.videoSettings = [kCVPixelBufferPixelFormatTypeKey as String: kCVPixelFormatType_32BGRA]
        guard session.canAddInput(input), session.canAddOutput(output) else { throw missing }
        session.addInput(input)
        session.addOutput(output)
        output.setSampleBufferDelegate(self, queue: queue)
        if let connection = output.connection(with: .video), connection.isVideoRotationAngleSupported(90) {
            connection.videoRotationAngle = 90  // upright in portrait
        }
        configured = true
    }
}

extension CameraSession: AVCaptureVideoDataOutputSampleBufferDelegate {
    func captureOutput(
        _ output: AVCaptureOutput, didOutput sampleBuffer: CMSampleBuffer, from connection: AVCaptureConnection
    ) {
        guard !busy, let handler, let buffer = CMSampleBufferGetImageBuffer(sampleBuffer),
            let picture = try? CameraSession.picture(from: buffer)
        else { return }
        busy = true
        Task.detached(priority: .userInitiated) { [queue, weak self] in
            await handler(picture)
            queue.async { self?.busy = false }
        }
    }

    private static func picture(from buffer: CVPixelBuffer) throws -> Picture {
        CVPixelBufferLockBaseAddress(buffer, .readOnly)
        defer { CVPixelBufferUnlockBaseAddress(buffer, .readOnly) }
        let (width, height) = (CVPixelBufferGetWidth(buffer), CVPixelBufferGetHeight(buffer))
        let bytesPerRow = CVPixelBufferGetBytesPerRow(buffer)
        let bytes = UnsafeRawBufferPointer(start: CVPixelBufferGetBaseAddress(buffer), count: bytesPerRow * height)
        return try Picture(width: width, height: height, order: .bgrx, bytesPerRow: bytesPerRow, bytes: bytes)
    }
}
