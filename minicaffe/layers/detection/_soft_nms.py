"""Which boxes stay, by the soft suppression of jolibrain's fork."""

from bisect import insort

import numpy as np

from minicaffe.kernels.definitions.boxes import overlaps


def softly_kept(score, boxes, nms):
    """Return the numbers of the boxes (M, 4) that stay, in the order in which they were chosen.

    The boxes stand in the order of their scores (M,), in a queue. `nms` is a NonMaximumSuppressionParameter. In turn,
    the first box is compared with those that stay, up to one that it overlaps by more than nms_threshold. For each it
    goes into the queue again, at the place of score · exp(−overlap² / theta), and whatever is first in the queue is
    removed. It stays where no overlap was above nms_threshold. Then what is first in the queue is removed.

    Caffe: what is removed is the box itself only once, then what has come to the front. So boxes are lost that overlap
    nothing, and boxes that stay come up again. The scores that are put out are those from before.
    """
    number = boxes.dtype.type
    threshold, eta, theta, half = number(nms.nms_threshold), number(nms.eta), number(nms.theta), number(0.5)
    queue = [(float(s), i) for i, s in enumerate(score)]
    kept: list[int] = []
    while queue:
        first, i = queue[0]
        stays = True
        for overlap in overlaps(boxes[i], boxes[kept], number(0)) if kept else ():
            del queue[0]
            lower = first * float(np.exp(-(overlap * overlap) / theta))
            insort(queue, (lower, i), key=lambda entry: -entry[0])  # after those with the same score
            if not overlap <= threshold:  # also where it is no number
                stays = False
                break
        del queue[0]
        if stays:
            kept.append(i)
            if eta < 1 and threshold > half:
                threshold *= eta
    return np.array(kept, int)
