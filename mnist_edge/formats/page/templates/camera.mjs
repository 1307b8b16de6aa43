// The camera.

/** The middle of what the camera sees now, which stays when the camera is put off. */
function readCamera() {
  const side = Math.min(video.videoWidth, video.videoHeight);
  if (!stream || !side) {
    return;
  }
  const [left, top] = [(video.videoWidth - side) / 2, (video.videoHeight - side) / 2];
  const answer = readDrawn(CAMERA_SIDE, CAMERA_SIDE, (context) =>
    context.drawImage(video, left, top, side, side, 0, 0, CAMERA_SIDE, CAMERA_SIDE),
  );
  const kept = document.createElement("canvas");
  kept.width = kept.height = CAMERA_SIDE;
  kept.getContext("2d").drawImage(scratch, 0, 0);
  picture = { bitmap: kept, answer };
  show(answer);
}

async function startCamera() {
  beginTurn();
  if (!navigator.mediaDevices) {
    showNothing("This browser gives a page the camera only over https: choose a picture instead.", "bad");
    return;
  }
  const request = {};
  cameraRequest = request;
  let opened;
  try {
    opened = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    video.srcObject = opened;
    await video.play();
  } catch (error) {
    closeStream(opened);
    if (cameraRequest === request) {
      cameraRequest = null;
      const why = error.name === "NotAllowedError" ? "The camera was not allowed" : "There is no camera that can be used";
      showNothing(`${why}: choose a picture instead.`, "bad");
    }
    return;
  }
  if (cameraRequest !== request) {
    closeStream(opened); // somebody went on while the browser asked
    return;
  }
  stream = opened;
  startOver();
  video.hidden = false;
  element("camera").setAttribute("aria-pressed", "true");
  stream.timer = setInterval(readCamera, CAMERA_MILLISECONDS);
  redraw();
}

function closeStream(opened) {
  opened?.getTracks().forEach((track) => track.stop());
  video.srcObject = stream === opened ? null : stream;
}

function stopCamera() {
  cameraRequest = null;
  if (!stream) {
    return;
  }
  clearInterval(stream.timer);
  closeStream(stream);
  stream = null;
  video.hidden = true;
  element("camera").setAttribute("aria-pressed", "false");
  redraw();
}

element("camera").addEventListener("click", () => (cameraRequest ? stopCamera() : startCamera()));
document.addEventListener("visibilitychange", () => document.hidden && stopCamera());
