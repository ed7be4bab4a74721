/** The present picture, or the camera's frames, through the chosen models. The latest wish wins. */

import { isCancelled, messageOf } from '../core/errors.js';
import { cameraRuns, grabFrame, startCamera, stopCamera, switchCamera } from './camera.js';
import { announce, button, element } from './page.js';
import { clearResult, decisionSentence, modelTitle, resultSentence, showMeasured, showResult } from './report.js';
import { markSample } from './samples.js';
import { clearSave, showSave } from './save.js';
import { clearMasks, setPanes, showMask, showMessage, showPicture, showProgress } from './stage.js';
import { milliseconds, providerName, sentence } from './text.js';

const RATE_FRAMES = 8;
/** Milliseconds from which on a picture's whole time, as far as it can be told, is worth a button that ends it. */
const WORTH_STOPPING = 2000;
const BY_A_PERSON = 'by a person';

/**
 * @typedef {{ blob: Blob, name: string }} Picture
 * @typedef {import('./report.js').Shown} Shown
 * @typedef {import('./engine.js').Decision} Decision
 */

export class Viewer {
  /**
   * @param {import('./engine.js').Engine} engine
   * @param {() => Shown[]} ready the models that may look at pictures
   * @param {() => void} thresholdChanged called when a new picture has the contract's threshold again
   */
  constructor(engine, ready, thresholdChanged) {
    this.engine = engine;
    this.ready = ready;
    this.thresholdChanged = thresholdChanged;
    /** @type {Picture | null} */
    this.picture = null;
    /** @type {number | null} */
    this.threshold = null;
    /** @type {number | null} */
    this.decidedAt = null;
    this.live = false;
    this.running = false;
    this.again = false;
    this.decidesAgain = false;
    /** @type {AbortController | null} of the picture that is being segmented */
    this.work = null;
  }

  /**
   * @param {Blob} blob
   * @param {string} name
   * @param {number | null} [threshold] the contract's where null: what was set was for the picture before
   */
  open(blob, name, threshold = null) {
    this.picture = { blob, name };
    this.threshold = threshold;
    this.thresholdChanged();
    markSample(name);
    showMessage('');
    if (this.live) this.stopLive();
    else this.refresh();
  }

  /** What the models are has changed: no old mask may stay. */
  modelsChanged() {
    this.work?.abort();
    clearMasks();
    clearResult();
    clearSave();
    if (this.ready().length > 0) this.refresh();
  }

  /** Segment the present picture; while one is being segmented, the wish waits, and only the last one is carried out. */
  async refresh() {
    this.again = true;
    if (this.running) {
      this.work?.abort(); // nobody waits for the old one any more
      if (!this.live) showProgress('Segmenting'); // its button would end nothing
    }
    if (this.running || this.live) return;
    this.running = true;
    element('stage').setAttribute('aria-busy', 'true');
    try {
      while (this.again && !this.live) {
        this.again = false;
        await this.#segment();
      }
    } finally {
      this.running = false;
      element('stage').setAttribute('aria-busy', 'false');
    }
    if (this.decidedAt !== this.threshold) this.setThreshold(this.threshold);
  }

  /** End what is being segmented: the picture stays, without a mask. */
  stop() {
    this.work?.abort(BY_A_PERSON);
  }

  async #segment() {
    const { picture } = this;
    const shown = this.ready();
    if (!picture || shown.length === 0) return;
    showProgress('Segmenting');
    announce(`Segmenting ${picture.name}.`);
    this.decision = undefined;
    try {
      setPanes(shown.length);
      clearResult();
      clearSave();
      const decision = await this.#analyse(picture.blob, picture.name, shown, true);
      const wanted = !this.live && picture === this.picture && this.#isPresent(shown);
      if (wanted) this.#show(decision, picture.name, shown);
    } catch (error) {
      if (isCancelled(error)) {
        if (this.work?.signal.reason === BY_A_PERSON) this.#stopped(picture.name);
        return;
      }
      if (picture !== this.picture) return;
      this.picture = null; // what cannot be read is not tried again
      clearMasks();
      clearResult();
      clearSave();
      this.problem(error);
    } finally {
      showProgress('');
    }
  }

  /** @param {string} name of the picture whose mask nobody waits for */
  #stopped(name) {
    clearMasks();
    showMessage(`Stopped: ${name} has no mask. Open it again to start anew.`);
    announce(`Stopped. ${name} has no mask.`);
  }

  /**
   * @param {Blob | ImageBitmap} picture
   * @param {string} name
   * @param {Shown[]} shown
   * @param {boolean} early whether the picture is shown before its mask is there
   * @returns {Promise<Decision>}
   */
  async #analyse(picture, name, shown, early) {
    /** @type {ImageBitmap | undefined} */
    let bitmap;
    /** @type {Promise<void> | undefined} */
    let pictured;
    const ids = shown.map(({ id }) => id);
    this.decidedAt = this.threshold; // the slider may move while the network runs
    const began = performance.now();
    const work = new AbortController();
    this.work = work;
    const decision = await this.engine.analyse(
      { picture, name, ids, threshold: this.decidedAt },
      ({ step, bitmap: given, done, total }) => {
        bitmap = given ?? bitmap;
        if (early && given && !this.live) pictured = showPicture(given, name);
        if (step === 'window' && total > 1 && !work.signal.aborted) this.#showWindows(done, total, performance.now() - began);
      },
      work.signal,
    );
    if (!early && bitmap && this.live) pictured = showPicture(bitmap, name);
    await pictured;
    return decision;
  }

  /**
   * How far a network is that slides.
   * @param {number} done windows
   * @param {number} total
   * @param {number} milliseconds since the picture was asked for
   */
  #showWindows(done, total, milliseconds) {
    if (done === total) return;
    const text = `window ${done + 1} of ${total}`;
    if (this.live) element('live-text').textContent = `Live, ${text}`;
    else showProgress(`Segmenting, ${text}`, done / total, done > 0 && (milliseconds / done) * total > WORTH_STOPPING);
  }

  /** @param {Shown[]} shown */
  #isPresent(shown) {
    const now = this.ready();
    return now.length === shown.length && now.every(({ id }, index) => id === shown[index].id);
  }

  /**
   * @param {Decision} decision
   * @param {string} name
   * @param {Shown[]} shown
   */
  #show(decision, name, shown) {
    decision.answers.forEach((answer, index) => {
      const { opened } = shown[index];
      const said = resultSentence(answer, decision, opened);
      const title = modelTitle(opened);
      const unusual = answer.guard?.unusual ? ['unusual picture'] : [];
      const facts = [...unusual, providerName(opened.selfTest), milliseconds(answer.milliseconds)];
      showMask(index, answer, `${name} with the mask of ${title}. ${said}`, title, facts);
    });
    if (!this.live) announce(decisionSentence(decision, shown.map(({ opened }) => opened))); // frames would drown all else
    showResult(decision, shown);
    const finding = { name, decision, shown, threshold: this.decidedAt };
    if (!this.live) showSave(finding, (id) => this.engine.mask(id), (error) => this.problem(error));
    this.decision = decision;
  }

  /** @param {number | null} threshold the contract's where null */
  async setThreshold(threshold) {
    this.threshold = threshold;
    if (this.live || this.running || !this.picture || !this.decision) return;
    if (this.deciding) {
      this.decidesAgain = true;
      return;
    }
    this.deciding = true;
    try {
      do {
        this.decidesAgain = false;
        const { picture } = this;
        const shown = this.ready();
        if (!picture || shown.length === 0 || this.running || !this.decision) return;
        this.decidedAt = this.threshold;
        const decision = await this.engine.decide(this.decidedAt);
        const still = picture === this.picture && !this.running && !this.live && this.#isPresent(shown);
        if (still) this.#show(decision, picture.name, shown);
      } while (this.decidesAgain);
    } catch (error) {
      this.problem(error);
    } finally {
      this.deciding = false;
    }
  }

  /** @param {boolean} [other] the other camera */
  async startLive(other = false) {
    try {
      await (other ? switchCamera() : startCamera());
    } catch (error) {
      this.stopLive();
      this.problem(error);
      return;
    }
    showMessage('');
    if (this.live) return;
    this.live = true;
    this.threshold = null;
    this.thresholdChanged();
    this.#showLive();
    announce('The camera is on.');
    await this.#loop();
  }

  async #loop() {
    /** @type {number[]} */
    const times = [];
    try {
      while (this.live && cameraRuns()) {
        const shown = this.ready();
        if (shown.length === 0) {
          await new Promise((resolve) => setTimeout(resolve, 100));
          continue;
        }
        setPanes(shown.length);
        const decision = await this.#analyse(await grabFrame(), 'camera', shown, false).catch(nullIfCancelled);
        if (!this.live) break;
        if (!decision || !this.#isPresent(shown)) continue;
        this.#show(decision, 'camera', shown);
        times.push(performance.now());
        if (times.length > RATE_FRAMES) times.shift();
        const rate = ((times.length - 1) * 1000) / (times[times.length - 1] - times[0]);
        if (times.length < 2) continue;
        element('live-text').textContent = `${rate.toFixed(1)} frames per second`;
        showMeasured('Live camera', `${rate.toFixed(1)} frames per second`);
      }
    } catch (error) {
      this.problem(error);
    }
    if (this.live) this.stopLive();
  }

  /** Keep what the camera sees now as a picture, without loss. */
  async shoot() {
    if (!this.live) return;
    const frame = await grabFrame();
    const canvas = new OffscreenCanvas(frame.width, frame.height);
    canvas.getContext('2d')?.drawImage(frame, 0, 0);
    const blob = await canvas.convertToBlob({ type: 'image/png' });
    this.open(blob, `camera-${new Date().toISOString().slice(0, 19).replaceAll(':', '')}.png`, this.threshold);
  }

  stopLive() {
    stopCamera();
    if (!this.live) return;
    this.live = false;
    this.work?.abort();
    this.#showLive();
    announce('The camera is off.');
    if (!this.picture) {
      clearMasks();
      clearResult();
      clearSave();
    } else this.refresh();
  }

  #showLive() {
    element('live').hidden = !this.live;
    element('stage').dataset.live = String(this.live);
    element('live-text').textContent = 'Live';
    button('camera').setAttribute('aria-pressed', String(this.live));
    if (this.live) {
      markSample('');
      clearSave();
      button('shutter').focus();
    }
  }

  /** @param {unknown} error */
  problem(error) {
    const text = sentence(messageOf(error));
    showMessage(text);
    announce(text);
  }
}

/**
 * @param {unknown} error
 * @returns {null}
 */
function nullIfCancelled(error) {
  if (isCancelled(error)) return null;
  throw error;
}
