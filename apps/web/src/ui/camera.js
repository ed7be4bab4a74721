/** The camera: frames while it runs, and plain words for why it does not. */

import { AppError } from '../core/errors.js';
import { button, element } from './page.js';

/** @type {Record<string, [string, string]>} */
const REASONS = {
  NotAllowedError: ['the camera was refused', 'Allow it in the browser’s settings of this site, or open a picture.'],
  NotFoundError: ['there is no camera', 'Connect one, or open a picture.'],
  NotReadableError: ['the camera is in use by another program', 'Close that program, or open a picture.'],
  OverconstrainedError: ['the camera does not give such pictures', 'Open a picture instead.'],
};

/** @type {MediaStream | null} */
let stream = null;
let facing = 'environment';

const video = () => /** @type {HTMLVideoElement} */ (element('video'));

/**
 * Ask for the camera and start it.
 * @returns {Promise<void>}
 */
export async function startCamera() {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new AppError('the camera cannot be used here', 'Browsers allow it on localhost and on HTTPS pages only.');
  }
  stopCamera();
  try {
    stream = await navigator.mediaDevices.getUserMedia({
      audio: false,
      video: { facingMode: facing, width: { ideal: 1280 }, height: { ideal: 720 } },
    });
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    const [cause, remedy] = REASONS[name] ?? [`the camera does not start (${name || error})`, 'Open a picture instead.'];
    throw new AppError(cause, remedy);
  }
  video().srcObject = stream;
  await video().play();
  const devices = await navigator.mediaDevices.enumerateDevices();
  button('switch-camera').hidden = devices.filter(({ kind }) => kind === 'videoinput').length < 2;
}

/** The other camera, of a phone: front or back. */
export async function switchCamera() {
  facing = facing === 'environment' ? 'user' : 'environment';
  await startCamera();
}

export function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  video().srcObject = null;
}

/** @returns {boolean} */
export function cameraRuns() {
  return stream !== null && stream.active;
}

/** @returns {Promise<ImageBitmap>} what the camera sees now */
export function grabFrame() {
  return createImageBitmap(video());
}
