import type { DeliveryRow } from '../../../store/delivery-list.ts';

/** The states of a delivery in the order of its life (W2). */
export const deliveryStates = ['pending', 'delivered', 'parked'] as const satisfies DeliveryRow['state'][];
